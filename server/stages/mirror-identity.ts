import { createHash } from 'node:crypto'
import { upstreamUrls } from '#server/commands/mirror-differences.js'
import type { AskedMirror } from '#server/commands/mirrors.js'

/** Tells a mirror of one upstream from another index of its name, and from itself with another upstream. 32 hex digits. */
export function mirrorIdentity({ user, index, value }: AskedMirror, upstream: string): string {
  return createHash('sha256').update(`${user}\0${index}\0${value.created}\0${upstream}`).digest('hex').slice(0, 32)
}

/** A mirror with the first of its upstreams up to `last`, in their order; all of them, if it is not given. Not for the eyes of anybody. */
export function mirrorName({ user, index, value }: AskedMirror, last?: number): string {
  return `${user}\0${index}\0${value.created}\0${upstreamsName(value, last)}`
}

/** The upstreams of a mirror in their order, as one text: that of the only one where there is one. */
export function upstreamsName(value: AskedMirror['value'], last = Infinity): string {
  return upstreamUrls(value).slice(0, last + 1).join('\n')
}
