import { type ChainHead, digestHex, EMPTY_CHAIN, entryDigest } from '#log-format/chain.js'
import { readEntry } from '#log-format/codec.js'
import { NO_SERIAL, parseSerial, type Serial, toSerial } from '#log-format/serial.js'
import { digestAt, entryAt } from './changelog.js'
import type { Database } from './database.js'
import { entryRow } from './rows.js'

/** The first entry of an epoch, which says who makes entries in it. */
export interface EpochStart {
  readonly serial: Serial
  /** 64 hex digits. */
  readonly digest: string
}

/** By whom entries are made: the epoch, and how it began. */
export interface Reign {
  readonly epoch: number
  /** Undefined for the first epoch, which began with no promotion, and where a node of an earlier release does not say it. */
  readonly start?: EpochStart | undefined
  /** Digest of the first entry, as 64 hex digits, by which histories are told from each other; empty or undefined where it is not said. */
  readonly history?: string | undefined
}

/**
 * Whether `one` is to be followed where both make entries of one history: the
 * later epoch; of two that were promoted to the same epoch the one that began
 * it at the higher serial, as it had more of what there was before; of the
 * same serial, the one whose first entry has the greater digest. Whoever knows both
 * comes to the same, on either side. Neither where they are the same, of different histories, or where it is not said how one of them began.
 */
export function prevails(one: Reign, other: Reign): boolean {
  if ((one.history ?? '') !== '' && (other.history ?? '') !== '' && one.history !== other.history) return false
  if (one.epoch !== other.epoch) return one.epoch > other.epoch
  if (one.start === undefined || other.start === undefined) return false
  if (one.start.serial !== other.start.serial) return one.start.serial > other.start.serial
  return one.start.digest > other.start.digest
}

/** As it is told to other nodes, and noted: `12-` and the digest. */
export function epochStartText({ serial, digest }: EpochStart): string {
  return `${serial}-${digest}`
}

/** Undefined for any other text. */
export function parseEpochStart(text: unknown): EpochStart | undefined {
  const [, number, digest] = typeof text === 'string' ? (/^(\d{1,15})-([0-9a-f]{64})$/.exec(text) ?? []) : []
  const serial = number === undefined ? undefined : parseSerial(number)
  return serial === undefined || digest === undefined ? undefined : { serial, digest }
}

/** The first entry of the epoch that the head is of, if one was promoted to it; looked for by halves: no entry has a lower epoch than the one before it. */
export function findEpochStart(db: Database, head: ChainHead): EpochStart | undefined {
  if (head.epoch === 0) return undefined
  let before: number = NO_SERIAL
  let within: number = head.serial
  while (within - before > 1) {
    const middle = Math.floor((before + within) / 2)
    if (readEntry(entryAt(db, toSerial(middle))).epoch === head.epoch) within = middle
    else before = middle
  }
  const serial = toSerial(within)
  return { serial, digest: digestHex(digestAt(db, serial)) }
}

/** Digest of the first entry in hex digits; empty where there is none. */
export function historyIn(db: Database): string {
  const first = db.get(entryRow(toSerial(0)))
  return first === undefined ? '' : digestHex(entryDigest(EMPTY_CHAIN.digest, first))
}
