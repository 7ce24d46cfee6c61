import { createHash } from 'node:crypto'
import type { AskedMirror } from '#server/commands/mirrors.js'

/** Tells a mirror of one upstream from another index of its name, and from itself with another upstream. 32 hex digits. */
export function mirrorIdentity({ user, index, value }: AskedMirror): string {
  return createHash('sha256').update(`${user}\0${index}\0${value.created}\0${value.mirror_url ?? ''}`).digest('hex').slice(0, 32)
}
