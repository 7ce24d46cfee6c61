import type { ChainLink } from './chain.js'
import { decodeEntry, DIGEST_BYTES, ENTRY_VERSION, MAX_ENTRY_BYTES, unpackValue } from './codec.js'
import { VIAS } from './entry.js'
import { type EntrySlices, sliceChanges, sliceEntry } from './entry-slices.js'
import { FormatError } from './errors.js'
import { MsgpackCursor } from './msgpack-cursor.js'
import { scanMsgpack } from './msgpack-scan.js'
import { checkMutation, type ForeignMutation, type Mutation } from './mutation.js'
import { toSerial } from './serial.js'

/** What a follower needs of an entry. */
export interface CheckedEntry {
  readonly link: ChainLink
  readonly mutation: Mutation | ForeignMutation
  /** They share the entry's memory. */
  readonly slices: EntrySlices
}

const FIELDS = 9
const BIN_8 = 0xc4
/** Of a digest, in front of its bytes: the tag and the length. */
const DIGEST_HEAD_BYTES = 2

/**
 * Takes an entry of any origin as {@link decodeEntry} takes it, and throws
 * the same `FormatError`, several times faster: every byte is looked at, yet
 * no value is built.
 */
export function checkEntry(bytes: Uint8Array): CheckedEntry {
  const checked = checkedAsWritten(bytes)
  if (checked !== undefined) return checked
  // Of another version, in an unusual spelling, or none at all: decoding tells which.
  const { serial, time, parent, epoch, mutation } = decodeEntry(bytes)
  return { link: { serial, time, parent, epoch }, mutation, slices: sliceEntry(bytes) }
}

/** Undefined when the entry is not spelt as `encodeEntry` spells it, which need not be a fault. */
function checkedAsWritten(bytes: Uint8Array): CheckedEntry | undefined {
  if (bytes[0] !== ENTRY_VERSION || bytes.length < 2 || bytes.length > MAX_ENTRY_BYTES) return undefined
  scanMsgpack(bytes, 1)
  try {
    return readFields(bytes)
  } catch (error) {
    if (error instanceof FormatError) return undefined
    throw error
  }
}

function readFields(bytes: Uint8Array): CheckedEntry | undefined {
  const cursor = new MsgpackCursor(bytes, 1)
  if (cursor.arrayLength() !== FIELDS) return undefined
  const serial = cursor.number()
  const time = cursor.number()
  const parent = digestIn(cursor.skip())
  const epoch = cursor.number()
  const isAttributed = skipText(cursor) && VIAS[cursor.number()] !== undefined && skipText(cursor)
  if (parent === undefined || !isAttributed || !isWhole(serial) || !isWhole(time) || !isWhole(epoch)) return undefined
  const mutationBytes = cursor.skip()
  const mutation = checkMutation(unpackValue(mutationBytes))
  const changes = sliceChanges(cursor)
  if (!changes.every(({ path }) => path !== '' && !path.includes('\0'))) return undefined
  const link = { serial: toSerial(serial), time, parent, epoch }
  return { link, mutation, slices: { serial: link.serial, time, length: bytes.length, mutationBytes, changes } }
}

function digestIn(value: Uint8Array): Uint8Array | undefined {
  const isDigest = value.length === DIGEST_HEAD_BYTES + DIGEST_BYTES && value[0] === BIN_8
  return isDigest ? value.subarray(DIGEST_HEAD_BYTES) : undefined
}

/** Whether text was there. */
function skipText(cursor: MsgpackCursor): boolean {
  if (!cursor.isAtText()) return false
  cursor.skip()
  return true
}

function isWhole(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}
