import { unpackValue } from '#log-format/codec.js'
import { keys } from '#log-format/keys.js'
import type { Serial } from '#log-format/serial.js'
import type { JsonValue, Stored } from '#log-format/values.js'
import { SERIAL_BYTES, stampBytes, stampOf } from './rows.js'

/** Raise it when a head row is written otherwise: the rows of a database that has others are folded afresh. */
export const HEAD_ROW_SHAPE = 2

/** Bytes of an entry that is in the log, or about to be written to it. */
export type EntryAt = (serial: Serial) => Uint8Array | undefined

/**
 * Families whose values stay in their entries: descriptions are the most of a
 * log, are asked for one at a time, and need not be stored twice.
 */
const KEPT_IN_ENTRY: ReadonlySet<string> = new Set([keys.metadata.family])
/** An entry is read as a whole: it must not be many times as large as the value wanted of it. */
const MOST_ENTRY_PER_VALUE = 8
/** Shorter values are kept with the key, as the place of one takes nearly as much. */
const FEWEST_BYTES = 64

/** Stands where msgpack never has it, in front of a value's place in its entry: offset and length, 4 bytes each. */
const PLACE_TAG = 0xc1
const PLACE_BYTES = 9

/** A value as an entry has it. */
export interface SetValue {
  readonly serial: Serial
  readonly entryLength: number
  readonly family: string
  readonly bytes: Uint8Array
  /** Of the bytes in the entry; undefined when the entry has them in another form. */
  readonly offset: number | undefined
}

/** What stands under a key: 6 bytes of the serial that set it, then the value or its place. */
export function headRow({ serial, entryLength, family, bytes, offset }: SetValue): Uint8Array {
  const isKept = offset !== undefined && KEPT_IN_ENTRY.has(family) && bytes.length >= FEWEST_BYTES
  if (!isKept || entryLength > bytes.length * MOST_ENTRY_PER_VALUE) return stampBytes(serial, bytes)
  const place = Buffer.allocUnsafe(PLACE_BYTES)
  place.writeUInt8(PLACE_TAG, 0)
  place.writeUInt32BE(offset, 1)
  place.writeUInt32BE(bytes.length, 5)
  return stampBytes(serial, place)
}

/** The msgpack of a head row's value, wherever it is kept. It shares memory with the row or the entry. */
export function valueBytesOf(row: Uint8Array, entryAt: EntryAt): Uint8Array {
  if (row[SERIAL_BYTES] !== PLACE_TAG) return row.subarray(SERIAL_BYTES)
  const serial = stampOf(row)
  const entry = entryAt(serial)
  if (entry === undefined) throw new Error(`the log has no entry ${serial}, in which a value is kept`)
  const place = new DataView(row.buffer, row.byteOffset + SERIAL_BYTES, PLACE_BYTES)
  const offset = place.getUint32(1)
  return entry.subarray(offset, offset + place.getUint32(5))
}

/** Makes something of the msgpack of a value, which goes from `start` to the end of the bytes. */
export type ReadValue<T> = (bytes: Uint8Array, start: number) => T

/** Reads the value of a row, wherever it is kept. */
export function readValue<T>(row: Uint8Array, entryAt: EntryAt, read: ReadValue<T>): T {
  if (row[SERIAL_BYTES] !== PLACE_TAG) return read(row, SERIAL_BYTES)
  return read(valueBytesOf(row, entryAt), 0)
}

export function valueOf(row: Uint8Array, entryAt: EntryAt): JsonValue {
  return unpackValue(valueBytesOf(row, entryAt))
}

/** The value of a row together with the serial that set it. The key says of what type it is. */
export function storedIn<V>(row: Uint8Array, entryAt: EntryAt): Stored<V> {
  return { value: valueOf(row, entryAt) as V, serial: stampOf(row) }
}
