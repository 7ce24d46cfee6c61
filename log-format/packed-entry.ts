import { ENTRY_VERSION, packHead } from './codec.js'
import type { Entry } from './entry.js'

/** A change whose value is packed already, as `packValue` packs it; undefined for a deletion. */
export interface PackedChange {
  readonly path: string
  readonly valueBytes: Uint8Array | undefined
}

export interface PackedEntry {
  readonly bytes: Uint8Array
  /** Where the value of each change stands in them; undefined for a deletion. */
  readonly offsets: readonly (number | undefined)[]
}

const ARRAY_OF_ONE = 0x91
const ARRAY_OF_TWO = 0x92

/** The very bytes that `encodeEntry` makes of the same entry, without packing its values once more. */
export function packEntry(entry: Omit<Entry, 'changes'>, changes: readonly PackedChange[]): PackedEntry {
  const head = packHead(entry)
  const pathBytes = changes.map(({ path }) => Buffer.byteLength(path))
  let size = 1 + head.length + arrayHeaderBytes(changes.length)
  for (const [at, { valueBytes }] of changes.entries()) size += 1 + textHeaderBytes(pathBytes[at] ?? 0) + (pathBytes[at] ?? 0) + (valueBytes?.length ?? 0)

  const bytes = Buffer.allocUnsafeSlow(size)
  bytes[0] = ENTRY_VERSION
  bytes.set(head, 1)
  let to = writeArrayHeader(bytes, 1 + head.length, changes.length)
  const offsets: (number | undefined)[] = []
  for (const [at, { path, valueBytes }] of changes.entries()) {
    bytes[to] = valueBytes === undefined ? ARRAY_OF_ONE : ARRAY_OF_TWO
    to = writeTextHeader(bytes, to + 1, pathBytes[at] ?? 0)
    to += bytes.write(path, to)
    offsets.push(valueBytes === undefined ? undefined : to)
    if (valueBytes === undefined) continue
    bytes.set(valueBytes, to)
    to += valueBytes.length
  }
  return { bytes, offsets }
}

function arrayHeaderBytes(length: number): number {
  return length < 0x10 ? 1 : length < 0x10000 ? 3 : 5
}

function writeArrayHeader(bytes: Buffer, at: number, length: number): number {
  if (length < 0x10) return bytes.writeUInt8(0x90 | length, at)
  if (length < 0x10000) return bytes.writeUInt16BE(length, bytes.writeUInt8(0xdc, at))
  return bytes.writeUInt32BE(length, bytes.writeUInt8(0xdd, at))
}

function textHeaderBytes(length: number): number {
  return length < 0x20 ? 1 : length < 0x100 ? 2 : length < 0x10000 ? 3 : 5
}

function writeTextHeader(bytes: Buffer, at: number, length: number): number {
  if (length < 0x20) return bytes.writeUInt8(0xa0 | length, at)
  if (length < 0x100) return bytes.writeUInt8(length, bytes.writeUInt8(0xd9, at))
  if (length < 0x10000) return bytes.writeUInt16BE(length, bytes.writeUInt8(0xda, at))
  return bytes.writeUInt32BE(length, bytes.writeUInt8(0xdb, at))
}
