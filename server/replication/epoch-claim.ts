import type { IncomingHttpHeaders } from 'node:http'
import { epochStartText, parseEpochStart, prevails, type Reign } from '#server/storage/epoch-start.js'
import type { Storage } from '#server/storage/storage.js'

/** On every answer, and on what nodes ask each other: the epoch of the newest entry. */
export const EPOCH_HEADER = 'X-DEVPI-EPOCH'
/** Beside the epoch: digest of the first entry, which histories of one origin have in common. */
export const HISTORY_HEADER = 'X-DEVPI-HISTORY'
/** Serial and digest of the first entry of that epoch, by which of two primaries of one epoch know which prevails. */
export const EPOCH_START_HEADER = 'X-DEVPI-EPOCH-START'
/** Where clients find the primary that asks. */
export const PRIMARY_URL_HEADER = 'X-DEVPI-PRIMARY-URL'

const MOST_URL_CHARACTERS = 500

/** What a node says of its log to another one. */
export interface EpochClaim extends Reign {
  /** Empty where it is not said. */
  readonly history: string
  readonly url?: string
}

export function epochClaim(storage: Storage): Record<string, string> {
  const { epoch, start, history = '' } = storage.reign
  return { [EPOCH_HEADER]: String(epoch), [HISTORY_HEADER]: history, ...(start !== undefined && { [EPOCH_START_HEADER]: epochStartText(start) }) }
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
  const start = parseEpochStart(headers[EPOCH_START_HEADER.toLowerCase()])
  const url = plainUrl(headers[PRIMARY_URL_HEADER.toLowerCase()])
  return {
    epoch,
    ...(start !== undefined && { start }),
    history: typeof history === 'string' && /^[0-9a-f]{64}$/.test(history) ? history : '',
    ...(url !== undefined && { url }),
  }
}

/** An address fit to be shown to anybody; undefined for everything else. */
export function plainUrl(text: unknown): string | undefined {
  if (typeof text !== 'string' || text.length > MOST_URL_CHARACTERS || !URL.canParse(text)) return undefined
  const { protocol, username, password } = new URL(text)
  return /^https?:$/.test(protocol) && username === '' && password === '' ? text : undefined
}

/**
 * Fences the storage of a primary when another node makes entries of the same history, and
 * prevails; resolves when that is on the disk. To be told only of what was said by a node that
 * has the shared secret: anybody else could stop the server with it.
 */
export async function heedEpoch(storage: Storage, node: string, { epoch, start, history, url }: EpochClaim): Promise<boolean> {
  const claimed: Reign = { epoch, start, history }
  const { fence } = storage
  if (storage.isReplica || !prevails(claimed, storage.reign) || (fence !== undefined && !prevails(claimed, fence))) return false
  await storage.setFence({ epoch, ...(start !== undefined && { start }), node, ...(url !== undefined && { url }) })
  return true
}
