import { promisify } from 'node:util'
import { inflateRaw, inflateRawSync } from 'node:zlib'
import { type ArchiveSource, readAt } from './archive-source.js'
import { BrokenArchive } from './broken-archive.js'
import { crc32 } from './crc32.js'
import { visitDirectory, type ZipMember } from './zip-directory.js'

/**
 * Calls `visit` for every entry, in the order of the central directory, and
 * passes on what it throws. Throws `BrokenArchive` for whatever is not one
 * well-formed zip, and for names that would leave the folder they are unpacked in.
 */
export async function visitZip(source: ArchiveSource, visit: (member: ZipMember) => void): Promise<void> {
  await visitDirectory(source, (member) => {
    checkName(member.name)
    visit(member)
  })
}

/** The bytes of one file, at most `limitBytes` of them and never more in memory, checked against size and CRC. */
export async function readZipMember(source: ArchiveSource, member: ZipMember, limitBytes: number): Promise<Buffer> {
  const name = baseName(member.name)
  if (member.encrypted) throw new BrokenArchive(`has an encrypted ${name}`)
  if (member.method !== STORED && member.method !== DEFLATED) throw new BrokenArchive(`has ${name} in an unknown compression`)
  if (member.size > limitBytes || member.compressedSize > limitBytes) throw tooLarge(name, limitBytes)

  const offset = await dataOffset(source, member)
  const packed = await readAt(source, offset, offset + member.compressedSize)
  const bytes = member.method === STORED ? packed : await inflateBounded(packed, name, Math.max(1, member.size))
  if (bytes.length !== member.size || crc32(bytes) !== member.crc) throw new BrokenArchive(`has a damaged ${name}`)
  return bytes
}

const STORED = 0
const DEFLATED = 8
const LOCAL_HEADER = { signature: 0x04034b50, sizeBytes: 30, flags: 6, nameLength: 26, extraLength: 28 }
const ENCRYPTED_FLAG = 1
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

/** Readers differ in whether they follow the local header or the directory, so the two must tell the same name. */
async function dataOffset(source: ArchiveSource, { name, nameBytes, offset }: ZipMember): Promise<number> {
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
  return offset + header.length + header.readUInt16LE(LOCAL_HEADER.extraLength)
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
