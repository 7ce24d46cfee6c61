import type { FileHandle } from 'node:fs/promises'
import { BrokenArchive } from './broken-archive.js'

/** Where the list of a zip's files stands, proven to lie inside the file and to hold what it claims. */
export interface CentralDirectory {
  readonly offset: number
  readonly sizeBytes: number
  readonly entries: number
}

const MAX_ENTRIES = 100_000
const MAX_DIRECTORY_BYTES = 32 * 1024 * 1024

/**
 * Finds the central directory of a zip (APPNOTE 6.3.10, sections 4.3.12 to
 * 4.3.16) and walks it once. Stricter than most readers, so that all of them,
 * node-stream-zip and Python's zipfile included, see the same files: nothing
 * may stand before the first entry, between directory and end records, or
 * after the comment, and number and size of the entries must be true. Throws `BrokenArchive`.
 */
export async function findCentralDirectory(handle: FileHandle): Promise<CentralDirectory> {
  const directory = await readEndRecords(handle)
  if (directory.entries === 0) throw new BrokenArchive('is an empty zip')
  if (directory.entries > MAX_ENTRIES) throw new BrokenArchive(`has more than ${MAX_ENTRIES} files`)
  if (directory.sizeBytes > MAX_DIRECTORY_BYTES) throw new BrokenArchive('has too long a list of files')
  await walk(handle, directory)
  return directory
}

const END = { signature: 0x06054b50, sizeBytes: 22, disks: 4, entriesHere: 8, entries: 10, size: 12, offset: 16, commentLength: 20 }
const MAX_COMMENT_BYTES = 0xffff
const LOCATOR = { signature: 0x07064b50, sizeBytes: 20, recordOffset: 8 }
const END64 = { signature: 0x06064b50, sizeBytes: 56, recordSize: 4, disks: 16, entriesHere: 24, entries: 32, size: 40, offset: 48 }
const HEADER = { signature: 0x02014b50, sizeBytes: 46, nameLength: 28, extraLength: 30, commentLength: 32 }

async function readEndRecords(handle: FileHandle): Promise<CentralDirectory> {
  const { size: fileSize } = await handle.stat()
  const tail = await readAt(handle, Math.max(0, fileSize - END.sizeBytes - MAX_COMMENT_BYTES), fileSize)
  const at = lastIndexOf(tail, END.signature)
  if (at === -1) throw new BrokenArchive('is not a zip archive, or is truncated')
  const end = tail.subarray(at)
  if (end.length < END.sizeBytes || end.length !== END.sizeBytes + end.readUInt16LE(END.commentLength)) {
    throw new BrokenArchive('is a zip archive with something behind its end')
  }
  if (lastIndexOf(end, END64.signature) !== -1 || lastIndexOf(end, LOCATOR.signature) !== -1) {
    throw new BrokenArchive('is a zip archive with two ends')
  }
  const endOffset = fileSize - end.length
  const entries = end.readUInt16LE(END.entries)
  const sizeBytes = end.readUInt32LE(END.size)
  const offset = end.readUInt32LE(END.offset)
  if (entries === 0xffff || sizeBytes === 0xffffffff || offset === 0xffffffff) return await readEnd64(handle, endOffset)
  return truthful({ offset, sizeBytes, entries }, end.readUInt16LE(END.entriesHere), end.readUInt32LE(END.disks), endOffset)
}

/** The 64-bit record must stand directly before its locator, and that before the end record. */
async function readEnd64(handle: FileHandle, endOffset: number): Promise<CentralDirectory> {
  const recordOffset = endOffset - LOCATOR.sizeBytes - END64.sizeBytes
  if (recordOffset < 0) throw new BrokenArchive('is truncated')
  const record = await readAt(handle, recordOffset, endOffset)
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

const WINDOW_BYTES = 128 * 1024

/** Hops from header to header: the entries must fill the directory to the byte. */
async function walk(handle: FileHandle, directory: CentralDirectory): Promise<void> {
  const end = directory.offset + directory.sizeBytes
  let position = directory.offset
  let window = Buffer.alloc(0)
  let windowOffset = position
  for (let entry = 0; entry < directory.entries && position + HEADER.sizeBytes <= end; entry++) {
    if (position + HEADER.sizeBytes > windowOffset + window.length) {
      windowOffset = position
      window = await readAt(handle, position, Math.min(end, position + WINDOW_BYTES))
    }
    const header = window.subarray(position - windowOffset)
    if (header.readUInt32LE(0) !== HEADER.signature) throw new BrokenArchive('is a zip archive with a damaged list of files')
    position += HEADER.sizeBytes + header.readUInt16LE(HEADER.nameLength)
    position += header.readUInt16LE(HEADER.extraLength) + header.readUInt16LE(HEADER.commentLength)
    if (entry === directory.entries - 1 && position === end) return
  }
  throw new BrokenArchive('is a zip archive whose list of files is shorter or longer than it claims')
}

async function readAt(handle: FileHandle, from: number, to: number): Promise<Buffer<ArrayBuffer>> {
  const bytes = Buffer.alloc(to - from)
  const { bytesRead } = await handle.read(bytes, 0, bytes.length, from)
  if (bytesRead < bytes.length) throw new BrokenArchive('is truncated')
  return bytes
}

function lastIndexOf(bytes: Buffer, signature: number): number {
  const pattern = Buffer.alloc(4)
  pattern.writeUInt32LE(signature)
  return bytes.lastIndexOf(pattern)
}
