import { type ArchiveSource, readAt } from './archive-source.js'
import { BrokenArchive } from './broken-archive.js'

/** One file of a zip as its central directory describes it; nothing in it is believed before it was read. */
export interface ZipMember {
  readonly name: string
  /** The name as it is written, to be compared with the one in the local header. */
  readonly nameBytes: Buffer
  readonly encrypted: boolean
  readonly method: number
  readonly crc: number
  readonly compressedSize: number
  readonly size: number
  /** Of its local header. */
  readonly offset: number
  /** What `stat` would say of the file, its type included; 0 where the archive was not made by a Unix tool. */
  readonly unixMode: number
}

export interface VisitOptions {
  readonly maxEntries?: number
}

/** Where the list of a zip's files stands, proven to lie inside the file. */
interface CentralDirectory {
  readonly offset: number
  readonly sizeBytes: number
  readonly entries: number
}

/** Unless the caller allows fewer. */
const MAX_ENTRIES = 100_000
const MAX_DIRECTORY_BYTES = 32 * 1024 * 1024

/**
 * Calls `visit` for every entry of a zip's central directory, in its order
 * (APPNOTE 6.3.10, sections 4.3.12 to 4.3.16), and passes on what it throws.
 * Stricter than most readers, so that all of them, Python's zipfile included,
 * see the same files: nothing may stand before the first entry, between
 * directory and end records, or after the comment, and number and size of the
 * entries must be true. Throws `BrokenArchive`.
 */
export async function visitDirectory(
  source: ArchiveSource,
  visit: (member: ZipMember) => void,
  { maxEntries = MAX_ENTRIES }: VisitOptions = {},
): Promise<void> {
  const directory = await readEndRecords(source)
  if (directory.entries === 0) throw new BrokenArchive('is an empty zip')
  if (directory.entries > maxEntries) throw new BrokenArchive(`has more than ${maxEntries} files`, { kind: 'too-large' })
  if (directory.sizeBytes > MAX_DIRECTORY_BYTES) throw new BrokenArchive('has too long a list of files', { kind: 'too-large' })
  await walk(source, directory, visit)
}

const END = { signature: 0x06054b50, sizeBytes: 22, disks: 4, entriesHere: 8, entries: 10, size: 12, offset: 16, commentLength: 20 }
const MAX_COMMENT_BYTES = 0xffff
const LOCATOR = { signature: 0x07064b50, sizeBytes: 20, recordOffset: 8 }
const END64 = { signature: 0x06064b50, sizeBytes: 56, recordSize: 4, disks: 16, entriesHere: 24, entries: 32, size: 40, offset: 48 }
const HEADER = {
  signature: 0x02014b50,
  sizeBytes: 46,
  flags: 8,
  method: 10,
  crc: 16,
  compressedSize: 20,
  size: 24,
  nameLength: 28,
  extraLength: 30,
  commentLength: 32,
  attributes: 38,
  offset: 42,
}
const ENCRYPTED_FLAG = 1
/** An extra field with the numbers that do not fit 32 bits; in the header they are all ones (APPNOTE 4.5.3). */
const ZIP64_EXTRA = 1
const ELSEWHERE = 0xffffffff

async function readEndRecords(source: ArchiveSource): Promise<CentralDirectory> {
  const end = (await endWithoutComment(source)) ?? (await endWithComment(source))
  if (end.length < END.sizeBytes || end.length !== END.sizeBytes + end.readUInt16LE(END.commentLength)) {
    throw new BrokenArchive('is a zip archive with something behind its end')
  }
  if (lastIndexOf(end, END64.signature) !== -1 || lastIndexOf(end, LOCATOR.signature) !== -1) {
    throw new BrokenArchive('is a zip archive with two ends')
  }
  const endOffset = source.size - end.length
  const entries = end.readUInt16LE(END.entries)
  const sizeBytes = end.readUInt32LE(END.size)
  const offset = end.readUInt32LE(END.offset)
  if (entries === 0xffff || sizeBytes === ELSEWHERE || offset === ELSEWHERE) return await readEnd64(source, endOffset)
  return truthful({ offset, sizeBytes, entries }, end.readUInt16LE(END.entriesHere), end.readUInt32LE(END.disks), endOffset)
}

/** What nearly all archives end with: it spares to read 64 KiB. */
async function endWithoutComment(source: ArchiveSource): Promise<Buffer | undefined> {
  const end = await readAt(source, Math.max(0, source.size - END.sizeBytes), source.size)
  const isEnd = end.length === END.sizeBytes && lastIndexOf(end, END.signature) === 0 && end.readUInt16LE(END.commentLength) === 0
  return isEnd ? end : undefined
}

async function endWithComment(source: ArchiveSource): Promise<Buffer> {
  const tail = await readAt(source, Math.max(0, source.size - END.sizeBytes - MAX_COMMENT_BYTES), source.size)
  const at = lastIndexOf(tail, END.signature)
  if (at === -1) throw new BrokenArchive('is not a zip archive, or is truncated')
  return tail.subarray(at)
}

/** The 64-bit record must stand directly before its locator, and that before the end record. */
async function readEnd64(source: ArchiveSource, endOffset: number): Promise<CentralDirectory> {
  const recordOffset = endOffset - LOCATOR.sizeBytes - END64.sizeBytes
  if (recordOffset < 0) throw new BrokenArchive('is truncated')
  const record = await readAt(source, recordOffset, endOffset)
  const locator = record.subarray(END64.sizeBytes)
  if (
    locator.readUInt32LE(0) !== LOCATOR.signature ||
    record.readUInt32LE(0) !== END64.signature ||
    locator.readBigUInt64LE(LOCATOR.recordOffset) !== BigInt(recordOffset) ||
    record.readBigUInt64LE(END64.recordSize) !== BigInt(END64.sizeBytes - 12) ||
    lastIndexOf(record, END64.signature) !== 0
  ) {
    throw new BrokenArchive('is a zip archive with damaged end records')
  }
  const directory = {
    offset: Number(record.readBigUInt64LE(END64.offset)),
    sizeBytes: Number(record.readBigUInt64LE(END64.size)),
    entries: Number(record.readBigUInt64LE(END64.entries)),
  }
  return truthful(directory, Number(record.readBigUInt64LE(END64.entriesHere)), Number(record.readBigUInt64LE(END64.disks)), recordOffset)
}

function truthful(directory: CentralDirectory, entriesHere: number, disks: number, endsAt: number): CentralDirectory {
  if (disks !== 0 || entriesHere !== directory.entries) throw new BrokenArchive('is one part of a split zip archive')
  if (directory.offset + directory.sizeBytes !== endsAt) throw new BrokenArchive('is a zip archive whose list of files is misplaced')
  return directory
}

/** Holds any header whole: its three lengths are 16 bits each. */
const WINDOW_BYTES = 256 * 1024

/** Goes from header to header: the entries must fill the directory to the byte. */
async function walk(source: ArchiveSource, directory: CentralDirectory, visit: (member: ZipMember) => void): Promise<void> {
  const end = directory.offset + directory.sizeBytes
  let position = directory.offset
  let window = Buffer.alloc(0)
  let windowOffset = position
  for (let entry = 0; entry < directory.entries; entry += 1) {
    const inWindow = window.subarray(position - windowOffset)
    const length = headerLength(inWindow)
    if (length === undefined || length > inWindow.length) {
      windowOffset = position
      window = await readAt(source, position, Math.min(end, position + WINDOW_BYTES))
    }
    const header = window.subarray(position - windowOffset)
    const whole = headerLength(header)
    if (header.length >= 4 && header.readUInt32LE(0) !== HEADER.signature) throw damagedList()
    if (whole === undefined || whole > header.length) throw wrongLength()
    visit(memberOf(header.subarray(0, whole)))
    position += whole
  }
  if (position !== end) throw wrongLength()
}

function wrongLength(): BrokenArchive {
  return new BrokenArchive('is a zip archive whose list of files is shorter or longer than it claims')
}

function damagedList(): BrokenArchive {
  return new BrokenArchive('is a zip archive with a damaged list of files')
}

/** Undefined when not even the fixed part is there. */
function headerLength(header: Buffer): number | undefined {
  if (header.length < HEADER.sizeBytes) return undefined
  const lengths = [HEADER.nameLength, HEADER.extraLength, HEADER.commentLength]
  return lengths.reduce((sum, at) => sum + header.readUInt16LE(at), HEADER.sizeBytes)
}

function memberOf(header: Buffer): ZipMember {
  const extraStart = HEADER.sizeBytes + header.readUInt16LE(HEADER.nameLength)
  const nameBytes = header.subarray(HEADER.sizeBytes, extraStart)
  const extra = header.subarray(extraStart, extraStart + header.readUInt16LE(HEADER.extraLength))
  const inHeader = [HEADER.size, HEADER.compressedSize, HEADER.offset].map((at) => header.readUInt32LE(at))
  const [size = 0, compressedSize = 0, offset = 0] = inHeader.includes(ELSEWHERE) ? largeNumbers(inHeader, extra) : inHeader
  return {
    name: nameBytes.toString(),
    nameBytes,
    encrypted: (header.readUInt16LE(HEADER.flags) & ENCRYPTED_FLAG) !== 0,
    method: header.readUInt16LE(HEADER.method),
    crc: header.readUInt32LE(HEADER.crc),
    compressedSize,
    size,
    offset,
    unixMode: header.readUInt32LE(HEADER.attributes) >>> 16,
  }
}

/** The extra field has 64-bit numbers for just those that the header has not, in this order. */
function largeNumbers(inHeader: readonly number[], extra: Buffer): number[] {
  const large = extraField(extra, ZIP64_EXTRA)
  let at = 0
  return inHeader.map((number) => {
    if (number !== ELSEWHERE) return number
    if (large === undefined || at + 8 > large.length) return number // as large as it says, then: refused where it is read
    at += 8
    return Number(large.readBigUInt64LE(at - 8))
  })
}

function extraField(extra: Buffer, wanted: number): Buffer | undefined {
  for (let at = 0; at + 4 <= extra.length; ) {
    const [id, length] = [extra.readUInt16LE(at), extra.readUInt16LE(at + 2)]
    if (at + 4 + length > extra.length) throw damagedList()
    if (id === wanted) return extra.subarray(at + 4, at + 4 + length)
    at += 4 + length
  }
  return undefined
}

function lastIndexOf(bytes: Buffer, signature: number): number {
  const pattern = Buffer.alloc(4)
  pattern.writeUInt32LE(signature)
  return bytes.lastIndexOf(pattern)
}
