import { pipeline } from 'node:stream'
import { promisify } from 'node:util'
import { crc32, createInflateRaw, inflateRaw, inflateRawSync } from 'node:zlib'
import { type ArchiveSource, partOf, readAt, streamOf } from './archive-source.js'
import { BrokenArchive } from './broken-archive.js'
import { visitDirectory, type VisitOptions, type ZipMember } from './zip-directory.js'

/**
 * Calls `visit` for every entry, in the order of the central directory, and
 * passes on what it throws. Throws `BrokenArchive` for whatever is not one
 * well-formed zip, and for names that would leave the folder they are unpacked in.
 */
export async function visitZip(
  source: ArchiveSource,
  visit: (member: ZipMember) => void,
  options: VisitOptions = {},
): Promise<void> {
  const visitChecked = (member: ZipMember): void => {
    checkName(member.name)
    visit(member)
  }
  await visitDirectory(source, visitChecked, options)
}

/** Throws `BrokenArchive` for a file that cannot be unpacked here. */
export function checkZipPacking({ name, encrypted, method }: ZipMember): void {
  if (encrypted) throw new BrokenArchive(`has an encrypted ${baseName(name)}`)
  if (method !== STORED && method !== DEFLATED) throw new BrokenArchive(`has ${baseName(name)} in an unknown compression`)
}

/** Where the packed bytes of a file begin. Throws `BrokenArchive` when the header before them does not agree with the directory. */
export async function locateZipMember(source: ArchiveSource, member: ZipMember): Promise<number> {
  const { offset, method, compressedSize, size } = await readLocalHeader(source, member)
  const agrees = (local: number, told: number): boolean => local === 0 || local === ELSEWHERE || local === told
  if (method !== member.method || !agrees(compressedSize, member.compressedSize) || !agrees(size, member.size)) {
    throw new BrokenArchive(`has a damaged ${baseName(member.name)}`)
  }
  return offset
}

/** The bytes of one file, at most `limitBytes` of them and never more in memory, checked against size and CRC. */
export async function readZipMember(source: ArchiveSource, member: ZipMember, limitBytes: number): Promise<Buffer> {
  const name = baseName(member.name)
  checkZipPacking(member)
  if (member.size > limitBytes || member.compressedSize > limitBytes) throw tooLarge(name, limitBytes)

  const { offset } = await readLocalHeader(source, member)
  const packed = await readAt(source, offset, offset + member.compressedSize)
  const bytes = member.method === STORED ? packed : await inflateBounded(packed, name, Math.max(1, member.size))
  if (bytes.length !== member.size || crc32(bytes) !== member.crc) throw new BrokenArchive(`has a damaged ${name}`)
  return bytes
}

/** Unpacks one file and keeps nothing of it. Throws `BrokenArchive` for a file whose bytes are not those that the directory tells of. */
export async function checkZipMember(source: ArchiveSource, member: ZipMember): Promise<void> {
  if (Math.max(member.size, member.compressedSize) <= AT_ONCE_BYTES) {
    await readZipMember(source, member, AT_ONCE_BYTES)
    return
  }
  checkZipPacking(member)
  const { offset } = await readLocalHeader(source, member)
  const packed = streamOf(partOf(source, offset, member.compressedSize))
  const unpacked = member.method === STORED ? packed : pipeline(packed, createInflateRaw({ chunkSize: INLINE_BYTES }), () => undefined)
  let size = 0
  let crc = 0
  try {
    for await (const piece of unpacked as AsyncIterable<Buffer>) {
      size += piece.length
      if (size > member.size) break
      crc = crc32(piece, crc)
    }
  } catch (cause) {
    if (isZlibError(cause)) throw new BrokenArchive(`has a damaged ${baseName(member.name)}`, { cause })
    throw cause
  }
  if (size !== member.size || crc !== member.crc) throw new BrokenArchive(`has a damaged ${baseName(member.name)}`)
}

const STORED = 0
const DEFLATED = 8
/** What is larger is unpacked piece by piece where its bytes are not needed. */
const AT_ONCE_BYTES = 1024 ** 2
const LOCAL_HEADER = {
  signature: 0x04034b50,
  sizeBytes: 30,
  flags: 6,
  method: 8,
  compressedSize: 18,
  size: 22,
  nameLength: 26,
  extraLength: 28,
}
const ENCRYPTED_FLAG = 1
/** The number stands in an extra field. */
const ELSEWHERE = 0xffffffff
/** Unpacked at once: a fraction of a millisecond, less than to have another thread do it takes under load. */
const INLINE_BYTES = 64 * 1024

const inflate = promisify(inflateRaw)

async function inflateBounded(packed: Buffer, name: string, size: number): Promise<Buffer> {
  const options = { maxOutputLength: size }
  try {
    return size <= INLINE_BYTES ? inflateRawSync(packed, options) : await inflate(packed, options)
  } catch (cause) {
    throw new BrokenArchive(`has a damaged ${name}`, { cause })
  }
}

function isZlibError(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && String(error.code).startsWith('Z_')
}

/** What stands before the bytes of a file; `offset` is where those begin. Sizes may be 0 when they were not known yet. */
interface LocalHeader {
  readonly offset: number
  readonly method: number
  readonly compressedSize: number
  readonly size: number
}

/** Readers differ in whether they follow the local header or the directory, so the two must tell the same name. */
async function readLocalHeader(source: ArchiveSource, { name, nameBytes, offset }: ZipMember): Promise<LocalHeader> {
  const end = offset + LOCAL_HEADER.sizeBytes + nameBytes.length
  if (end > source.size) throw new BrokenArchive(`has a damaged ${baseName(name)}`)
  const header = await readAt(source, offset, end)
  if (
    header.readUInt32LE(0) !== LOCAL_HEADER.signature ||
    header.readUInt16LE(LOCAL_HEADER.nameLength) !== nameBytes.length ||
    !header.subarray(LOCAL_HEADER.sizeBytes).equals(nameBytes)
  ) {
    throw new BrokenArchive(`has a damaged ${baseName(name)}`)
  }
  if (header.readUInt16LE(LOCAL_HEADER.flags) & ENCRYPTED_FLAG) throw new BrokenArchive(`has an encrypted ${baseName(name)}`)
  return {
    offset: offset + header.length + header.readUInt16LE(LOCAL_HEADER.extraLength),
    method: header.readUInt16LE(LOCAL_HEADER.method),
    compressedSize: header.readUInt32LE(LOCAL_HEADER.compressedSize),
    size: header.readUInt32LE(LOCAL_HEADER.size),
  }
}

const OUTSIDE = /[\\\u0000-\u001f]|^\/|^[A-Za-z]:|(?:^|\/)\.\.(?:\/|$)/

function checkName(name: string): void {
  if (name === '' || OUTSIDE.test(name)) throw new BrokenArchive(`has an entry with the unsafe name ${JSON.stringify(name.slice(0, 80))}`)
}

/** What messages call a file: its folder is the sender's choice and may be long. */
function baseName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}

function tooLarge(name: string, limitBytes: number): BrokenArchive {
  return new BrokenArchive(`has a ${name} of more than ${limitBytes} bytes`)
}
