import { createHash } from 'node:crypto'
import { DIGEST_BYTES } from './codec.js'
import type { Entry } from './entry.js'
import { ChainError } from './errors.js'
import { NO_SERIAL, nextSerial, type Serial } from './serial.js'

/** Where a log ends: its newest serial, that entry's digest, time and epoch. */
export interface ChainHead {
  readonly serial: Serial
  /** 32 bytes. */
  readonly digest: Uint8Array
  /** ms since the epoch. */
  readonly time: number
  readonly epoch: number
}

/** What of an entry has to continue the log before it. */
export type ChainLink = Pick<Entry, 'serial' | 'time' | 'parent' | 'epoch'>

/** The head of a log without entries. */
export const EMPTY_CHAIN: ChainHead = {
  serial: NO_SERIAL,
  digest: new Uint8Array(DIGEST_BYTES),
  time: 0,
  epoch: 0,
}

/** sha256(parent ‖ bytes), 32 bytes: two nodes with the same digest at a serial have the same history. */
export function entryDigest(parent: Uint8Array, bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(parent).update(bytes).digest()
}

/** The head after this entry. Throws a {@link ChainError} when the entry does not continue the head. */
export function extendChain(head: ChainHead, entry: ChainLink, bytes: Uint8Array): ChainHead {
  const expected = nextSerial(head.serial)
  if (entry.serial !== expected) throw new ChainError(entry.serial, `serial ${expected} was expected`)
  if (Buffer.compare(entry.parent, head.digest) !== 0) {
    throw new ChainError(
      entry.serial,
      `its parent is ${digestHex(entry.parent)}, the log before it has ${digestHex(head.digest)}`,
    )
  }
  if (entry.time < head.time) throw new ChainError(entry.serial, 'its time is before that of its predecessor')
  if (entry.epoch < head.epoch) throw new ChainError(entry.serial, 'its epoch is below that of its predecessor')
  return { serial: entry.serial, digest: entryDigest(head.digest, bytes), time: entry.time, epoch: entry.epoch }
}

export function digestHex(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString('hex')
}
