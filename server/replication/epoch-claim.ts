import type { IncomingHttpHeaders } from 'node:http'
import type { Storage } from '#server/storage/storage.js'

/** On every answer, and on what nodes ask each other: the epoch of the newest entry. */
export const EPOCH_HEADER = 'X-DEVPI-EPOCH'
/** Beside the epoch: digest of the first entry, which histories of one origin have in common. */
export const HISTORY_HEADER = 'X-DEVPI-HISTORY'
/** Where clients find the primary that asks. */
export const PRIMARY_URL_HEADER = 'X-DEVPI-PRIMARY-URL'

const MOST_URL_CHARACTERS = 500

/** What a node says of its log to another one. */
export interface EpochClaim {
  readonly epoch: number
  /** Empty where it is not said. */
  readonly history: string
  readonly url?: string
}

export function epochClaim(storage: Storage): Record<string, string> {
  return { [EPOCH_HEADER]: String(storage.head.epoch), [HISTORY_HEADER]: storage.history }
}

export function epochIn(headers: IncomingHttpHeaders): number | undefined {
  const text = headers[EPOCH_HEADER.toLowerCase()]
  return typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** Undefined without an epoch. Nothing in it is proven. */
export function claimIn(headers: IncomingHttpHeaders): EpochClaim | undefined {
  const epoch = epochIn(headers)
  if (epoch === undefined) return undefined
  const history = headers[HISTORY_HEADER.toLowerCase()]
  const url = plainUrl(headers[PRIMARY_URL_HEADER.toLowerCase()])
  return { epoch, history: typeof history === 'string' && /^[0-9a-f]{64}$/.test(history) ? history : '', ...(url !== undefined && { url }) }
}

/** An address fit to be shown to anybody; undefined for everything else. */
export function plainUrl(text: unknown): string | undefined {
  if (typeof text !== 'string' || text.length > MOST_URL_CHARACTERS || !URL.canParse(text)) return undefined
  const { protocol, username, password } = new URL(text)
  return /^https?:$/.test(protocol) && username === '' && password === '' ? text : undefined
}

/**
 * Fences the storage of a primary when another node has a later epoch of the
 * same history; resolves when that is on the disk. To be told only of what was said by a node that
 * has the shared secret: anybody else could stop the server with it.
 */
export async function heedEpoch(storage: Storage, node: string, { epoch, history, url }: EpochClaim): Promise<boolean> {
  if (storage.isReplica || epoch <= storage.head.epoch || epoch <= (storage.fence?.epoch ?? -1)) return false
  if (history !== '' && storage.history !== '' && history !== storage.history) return false
  await storage.setFence({ epoch, node, ...(url !== undefined && { url }) })
  return true
}
