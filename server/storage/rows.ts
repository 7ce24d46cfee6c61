import { packValue } from '#log-format/codec.js'
import type { Serial } from '#log-format/serial.js'
import { toSerial } from '#log-format/serial.js'
import type { RowOperation } from './database.js'

/**
 * Layout of the rows in LevelDB. Every key starts with the letter of its kind;
 * segments are joined by NUL, which no name may contain, so that byte order
 * is the order of the segments.
 *
 *     e SERIAL                          entry bytes
 *     k FAMILY ␀ SEGMENTS               value of a key at head, see `head-row.ts`: 6 bytes of serial, then the value
 *     o FAMILY ␀ SEGMENTS ␀ INVERTED    value it had before: 6 bytes of the serial that ended it, then the row it was
 *     p PROJECTION ␀ ROW                projection rows
 *     s NAME                            secrets of the vault
 *     v SERIAL                          names of the secrets that an entry changed
 *     c NAME                            cursors of subscriptions
 *     n NAME                            notes: what was found out about other servers, a cache
 *     m NAME                            format version, node id, head digest, shapes of the projections
 *     m fact ␀ NAME                     what the node is: its role, whom it follows
 */
const SERIAL_DIGITS = 15
/** A serial is inverted by subtracting it from this; even -1, the head of an empty log, keeps its digits. */
const LARGEST = 10 ** SERIAL_DIGITS - 2

/** Bytes of a serial in front of a value. */
export const SERIAL_BYTES = 6

export function entryRow(serial: Serial): string {
  return `e${digits(serial)}`
}

export function serialOfEntryRow(row: string): Serial {
  return toSerial(Number(row.slice(1)))
}

export const ENTRY_ROWS = { gte: 'e', lt: 'f' }
export const KEY_ROWS = { gte: 'k', lt: 'l' }
export const OLD_ROWS = { gte: 'o', lt: 'p' }
export const PROJECTION_ROWS = { gte: 'p', lt: 'q' }
export const SECRET_ROWS = { gte: 's', lt: 't' }
export const SECRET_CHANGE_ROWS = { gte: 'v', lt: 'w' }
export const CURSOR_ROWS = { gte: 'c', lt: 'd' }
export const NOTE_ROWS = { gte: 'n', lt: 'o' }

/** `FAMILY ␀ SEGMENTS`: what names a key in both the head rows and the old ones. */
export function keyName(family: string, segments: readonly string[]): string {
  return `${family}\0${segments.join('\0')}`
}

export function keyRow(name: string): string {
  return `k${name}`
}

export function oldRow(name: string, serial: Serial): string {
  return `o${name}\0${digits(LARGEST - serial)}`
}

/** Behind every old row of the key. */
export function endOfOldRows(name: string): string {
  return `o${name}\0:`
}

/** The key's name out of a row of either kind. */
export function nameOfKeyRow(row: string): string {
  return row.slice(1)
}

export function nameOfOldRow(row: string): string {
  return row.slice(1, -(SERIAL_DIGITS + 1))
}

export function segmentsOfName(name: string): string[] {
  const segments: string[] = []
  let start = name.indexOf('\0') + 1
  if (start === 0) return segments
  for (let end = name.indexOf('\0', start); end >= 0; end = name.indexOf('\0', start)) {
    segments.push(name.slice(start, end))
    start = end + 1
  }
  segments.push(name.slice(start))
  return segments
}

/** Names that start with these segments: from, and up to but not including. */
export function nameRange(family: string, segments: readonly string[]): { readonly from: string; readonly to: string } {
  const stem = [family, ...segments].join('\0')
  return { from: `${stem}\0`, to: `${stem}\x01` }
}

export function projectionRow(projection: string, row: string): string {
  return `p${projection}\0${row}`
}

export function secretRow(name: string): string {
  return `s${name}`
}

export function secretChangeRow(serial: Serial): string {
  return `v${digits(serial)}`
}

export function cursorRow(name: string): string {
  return `c${name}`
}

export function noteRow(name: string): string {
  return `n${name}`
}

export function metaRow(name: string): string {
  return `m${name}`
}

export function factRow(name: string): string {
  return metaRow(`fact\0${name}`)
}

/** Name of the fact that says who makes the entries: the uuid of the primary, on a replica that knows it. */
export const PRIMARY_UUID_FACT = 'primary-uuid'

export function factOperation(name: string, value: string): RowOperation {
  return { type: 'put', key: factRow(name), value: packValue(value) }
}

/** Shapes of the projections that the rows were folded with; without it they are folded afresh on open. */
export const SHAPES_ROW = metaRow('shapes')

/** Digest of the newest entry, which has no successor to hold it. */
export const HEAD_DIGEST_ROW = metaRow('head-digest')

/** `serial`, then `bytes`. */
export function stampBytes(serial: Serial, bytes: Uint8Array): Uint8Array {
  const stamped = Buffer.allocUnsafe(SERIAL_BYTES + bytes.length)
  stamped.writeUIntBE(serial, 0, SERIAL_BYTES)
  stamped.set(bytes, SERIAL_BYTES)
  return stamped
}

export function stampOf(bytes: Uint8Array): Serial {
  let stamp = 0
  for (let at = 0; at < SERIAL_BYTES; at += 1) stamp = stamp * 256 + (bytes[at] ?? 0)
  return stamp as Serial // 48 bits: always a whole number that is safe
}

export function withoutStamp(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(SERIAL_BYTES)
}

function digits(value: number): string {
  return String(value).padStart(SERIAL_DIGITS, '0')
}
