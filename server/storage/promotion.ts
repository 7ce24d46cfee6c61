import { type ChainHead, entryDigest } from '#log-format/chain.js'
import { encodeEntry } from '#log-format/codec.js'
import type { Origin } from '#log-format/entry.js'
import type { Frame } from '#log-format/framing.js'
import { nextSerial } from '#log-format/serial.js'
import { epochStartText, parseEpochStart, type Reign } from './epoch-start.js'

/** Who takes over from whom: uuids. `former` is empty where it is not known. */
export interface Succession {
  readonly node: string
  readonly former: string
}

/** The entry that begins the next epoch. */
export function promotionFrame(head: ChainHead, origin: Origin, { node, former }: Succession): Frame {
  const bytes = encodeEntry({
    ...origin,
    serial: nextSerial(head.serial),
    time: Math.max(origin.time, head.time),
    parent: head.digest,
    epoch: head.epoch + 1,
    mutation: { kind: 'primary-promoted', node, former },
    changes: [],
  })
  return { bytes, digest: entryDigest(head.digest, bytes) }
}

/** Why a server that made entries makes no more: another one has its history, and prevails. */
export interface Fence extends Reign {
  /** Uuid of the server from which this was heard. */
  readonly node: string
  /** Where clients find the new primary, if it said so. */
  readonly url?: string
}

/** Name of the fact that a server is fenced. */
export const FENCE_FACT = 'fenced'

export function fenceText({ epoch, start, node, url }: Fence): string {
  return JSON.stringify({ epoch, ...(start !== undefined && { start: epochStartText(start) }), node, ...(url !== undefined && { url }) })
}

/** What was noted; a text that cannot be read fences as well. */
export function parseFence(text: string | undefined): Fence | undefined {
  if (text === undefined) return undefined
  const found = fieldsOf(text)
  const { epoch, node, url } = found
  const start = parseEpochStart(found['start'])
  return {
    epoch: typeof epoch === 'number' ? epoch : 0,
    ...(start !== undefined && { start }),
    node: typeof node === 'string' ? node : '',
    ...(typeof url === 'string' && { url }),
  }
}

/** For clients, monitoring and the log file; `own` is the epoch of the server that is fenced. */
export function fenceSentence({ epoch, start, url }: Fence, own: number): string {
  const where = url === undefined ? 'another server' : `the server at ${url}`
  const isRival = epoch === own && start !== undefined
  const why = isRival ? `was promoted too, and prevails (both are of epoch ${epoch})` : `was promoted in its place (epoch ${epoch})`
  return `this server is the primary no more: ${where} ${why}; it can be read, but nothing can be changed here`
}

function fieldsOf(text: string): { readonly [field: string]: unknown } {
  try {
    const found: unknown = JSON.parse(text)
    return typeof found === 'object' && found !== null ? { ...found } : {}
  } catch {
    return {}
  }
}
