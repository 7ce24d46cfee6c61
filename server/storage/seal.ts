import { type ChainHead, entryDigest } from '#log-format/chain.js'
import { MAX_ENTRY_BYTES } from '#log-format/codec.js'
import type { Origin } from '#log-format/entry.js'
import { scanMsgpack } from '#log-format/msgpack-scan.js'
import { namesInMutation } from '#log-format/mutation.js'
import { packEntry } from '#log-format/packed-entry.js'
import { nextSerial } from '#log-format/serial.js'
import type { LocatedEntry } from './fold.js'
import { changeTooLarge, type Recorded } from './transaction.js'

export interface SealedEntry {
  readonly bytes: Uint8Array
  /** What a fold needs of it. */
  readonly located: LocatedEntry
  /** The head of the log behind it. */
  readonly head: ChainHead
}

/** The entry of a transaction, on top of those up to `parent`. Refuses `too-large`. */
export function sealEntry(parent: ChainHead, origin: Origin, { mutation, changes }: Pick<Recorded, 'mutation' | 'changes'>): SealedEntry {
  const serial = nextSerial(parent.serial)
  const { time } = origin
  const { bytes, offsets } = packEntry({ ...origin, serial, parent: parent.digest, epoch: parent.epoch, mutation }, changes)
  if (bytes.length > MAX_ENTRY_BYTES) throw changeTooLarge(bytes.length)
  scanMsgpack(bytes, 1) // nothing enters the log that its readers would reject
  return {
    bytes,
    located: {
      serial,
      time,
      length: bytes.length,
      names: namesInMutation(mutation),
      changes: changes.map(({ family, segments, name, valueBytes }, at) => ({ family, segments, name, valueBytes, offset: offsets[at] })),
    },
    head: { serial, digest: entryDigest(parent.digest, bytes), time, epoch: parent.epoch },
  }
}
