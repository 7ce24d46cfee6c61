import { crc32, deflateRawSync } from 'node:zlib'

/** One entry; the overrides lie about it in the central directory, for hostile archives. */
export interface ZipEntry {
  readonly name: string
  readonly bytes: Uint8Array
  readonly stored?: boolean
  readonly encrypted?: boolean
  readonly method?: number
  readonly crc?: number
  readonly size?: number
  readonly compressedSize?: number
  readonly localName?: string
  /** Where the directory says that its local header is. */
  readonly offset?: number
  /** What `stat` would say; a regular file unless told. */
  readonly unixMode?: number
  /** Leaves sizes and CRC to a descriptor behind the bytes, as tools do that write to a pipe. */
  readonly streamed?: boolean
  /** Puts sizes and offset into an extra field of 64-bit numbers, where large archives have them. */
  readonly zip64Extra?: boolean
  /** Extra field of the central directory. */
  readonly extra?: Uint8Array
}

export interface ZipOptions {
  readonly comment?: string
  /** Writes the 64-bit end records too, and leaves the 32-bit one to point at them. */
  readonly zip64?: boolean
  /** Lies of the end record. */
  readonly entries?: number
  readonly directoryOffset?: number
  readonly directorySize?: number
}

/** A zip with fixed times, so that equal entries make equal bytes. */
export function zip(entries: readonly ZipEntry[], options: ZipOptions = {}): Buffer {
  const files: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const entry of entries) {
    const packed = entry.stored ? Buffer.from(entry.bytes) : deflateRawSync(entry.bytes)
    const local = Buffer.concat([header(entry, packed.length, { local: true }), packed, descriptor(entry, packed.length)])
    directory.push(header(entry, packed.length, { local: false, offset }))
    files.push(local)
    offset += local.length
  }
  const list = Buffer.concat(directory)
  return Buffer.concat([...files, list, endRecords(entries.length, list.length, offset, options)])
}

function descriptor(entry: ZipEntry, packedSize: number): Buffer {
  if (entry.streamed !== true) return Buffer.alloc(0)
  const numbers = Buffer.alloc(16)
  numbers.write('PK\x07\x08', 'latin1')
  numbers.writeUInt32LE(crc32(entry.bytes), 4)
  numbers.writeUInt32LE(packedSize, 8)
  numbers.writeUInt32LE(entry.bytes.length, 12)
  return numbers
}

const FIXED_DATE = 0x5821 // 2024-01-01
const UTF8_NAMES = 0x0800
const STREAMED = 0x0008

function header(entry: ZipEntry, packedSize: number, at: { local: true } | { local: false; offset: number }): Buffer {
  const name = Buffer.from(at.local ? (entry.localName ?? entry.name) : entry.name)
  const flags = UTF8_NAMES | (entry.encrypted ? 1 : 0) | (entry.streamed ? STREAMED : 0)
  const common = Buffer.alloc(26)
  common.writeUInt16LE(20, 0)
  common.writeUInt16LE(flags, 2)
  common.writeUInt16LE(entry.method ?? (entry.stored ? 0 : 8), 4)
  common.writeUInt16LE(FIXED_DATE, 8)
  common.writeUInt32LE(entry.crc ?? crc32(entry.bytes), 10)
  common.writeUInt32LE(entry.compressedSize ?? packedSize, 14)
  common.writeUInt32LE(entry.size ?? entry.bytes.length, 18)
  common.writeUInt16LE(name.length, 22)
  if (at.local && entry.streamed) common.fill(0, 10, 22)
  if (at.local) return Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, name])
  const extra = entry.extra ?? (entry.zip64Extra === true ? zip64Extra([entry.bytes.length, packedSize, at.offset]) : new Uint8Array())
  if (entry.zip64Extra === true) common.fill(0xff, 14, 22)
  const rest = Buffer.alloc(14)
  common.writeUInt16LE(extra.length, 24)
  rest.writeUInt32LE(((entry.unixMode ?? 0o100644) << 16) >>> 0, 6)
  rest.writeUInt32LE(entry.zip64Extra === true ? 0xffffffff : (entry.offset ?? at.offset), 10)
  return Buffer.concat([Buffer.from('PK\x01\x02\x14\x03', 'latin1'), common, rest, name, extra])
}

function zip64Extra(numbers: readonly number[]): Buffer {
  const extra = Buffer.alloc(4 + 8 * numbers.length)
  extra.writeUInt16LE(1, 0)
  extra.writeUInt16LE(8 * numbers.length, 2)
  for (const [at, number] of numbers.entries()) extra.writeBigUInt64LE(BigInt(number), 4 + 8 * at)
  return Buffer.concat([Buffer.from('feca020000ff', 'hex'), extra]) // behind a field of another kind
}

function endRecords(count: number, listSize: number, listOffset: number, options: ZipOptions): Buffer {
  const { comment = '', zip64 = false, entries = count, directoryOffset = listOffset, directorySize = listSize } = options
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt16LE(zip64 ? 0xffff : entries & 0xffff, 8)
  end.writeUInt16LE(zip64 ? 0xffff : entries & 0xffff, 10)
  end.writeUInt32LE(zip64 ? 0xffffffff : directorySize, 12)
  end.writeUInt32LE(zip64 ? 0xffffffff : directoryOffset, 16)
  end.writeUInt16LE(Buffer.byteLength(comment), 20)
  const tail = [end, Buffer.from(comment)]
  return Buffer.concat(zip64 ? [...end64(entries, directorySize, directoryOffset, listOffset + listSize), ...tail] : tail)
}

function end64(entries: number, directorySize: number, directoryOffset: number, recordOffset: number): Buffer[] {
  const record = Buffer.alloc(56)
  record.write('PK\x06\x06', 'latin1')
  record.writeBigUInt64LE(44n, 4)
  record.writeUInt16LE(45, 12)
  record.writeUInt16LE(45, 14)
  for (const [at, value] of [[24, entries], [32, entries], [40, directorySize], [48, directoryOffset]] as const) {
    record.writeBigUInt64LE(BigInt(value), at)
  }
  const locator = Buffer.alloc(20)
  locator.write('PK\x06\x07', 'latin1')
  locator.writeBigUInt64LE(BigInt(recordOffset), 8)
  locator.writeUInt32LE(1, 16)
  return [record, locator]
}
