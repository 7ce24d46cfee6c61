import type { FileHandle } from 'node:fs/promises'
import { promisify } from 'node:util'
import { inflateRaw } from 'node:zlib'
import StreamZip from 'node-stream-zip'
import { BrokenArchive } from './broken-archive.js'
import { crc32 } from './crc32.js'
import { findCentralDirectory } from './zip-directory.js'

/** One file of a zip as its central directory describes it; nothing in it is believed before it was read. */
export interface ZipMember {
  readonly name: string
  readonly encrypted: boolean
  readonly method: number
  readonly crc: number
  readonly compressedSize: number
  readonly size: number
  /** Of its local header. */
  readonly offset: number
}

/**
 * Calls `visit` for every entry, in the order of the central directory, and
 * passes on what it throws. Throws `BrokenArchive` for whatever is not one
 * well-formed zip, and for names that would leave the folder they are unpacked in.
 */
export async function visitZip(handle: FileHandle, visit: (member: ZipMember) => void): Promise<void> {
  const { sizeBytes } = await findCentralDirectory(handle)
  await new Promise<void>((resolve, reject) => {
    // The descriptor stays ours to close. Entries are not kept: their number is the sender's choice.
    const zip = new StreamZip({ fd: handle.fd, storeEntries: false, skipEntryNameValidation: true, chunkSize: sizeBytes })
    zip.on('entry', (entry) => {
      checkName(entry.name)
      visit(entry)
    })
    zip.on('ready', resolve)
    zip.on('error', (error: unknown) => {
      const reason = translate(error)
      reject(reason instanceof Error ? reason : new Error('the archive could not be read', { cause: reason }))
    })
  })
}

/** The library throws plain errors at malformed entries; only an error of the disk names a system call. */
function translate(error: unknown): unknown {
  if (error instanceof BrokenArchive || (typeof error === 'object' && error !== null && 'syscall' in error)) return error
  return new BrokenArchive('is a zip archive with a damaged list of files', { cause: error })
}

/** The bytes of one file, at most `limitBytes` of them and never more in memory, checked against size and CRC. */
export async function readZipMember(handle: FileHandle, member: ZipMember, limitBytes: number): Promise<Buffer> {
  const name = baseName(member.name)
  if (member.encrypted) throw new BrokenArchive(`has an encrypted ${name}`)
  if (member.method !== STORED && member.method !== DEFLATED) throw new BrokenArchive(`has ${name} in an unknown compression`)
  if (member.size > limitBytes || member.compressedSize > limitBytes) throw tooLarge(name, limitBytes)

  const packed = Buffer.alloc(member.compressedSize)
  const { bytesRead } = await handle.read(packed, 0, packed.length, await dataOffset(handle, member))
  if (bytesRead < packed.length) throw new BrokenArchive('is truncated')
  const bytes = member.method === STORED ? packed : await inflateBounded(packed, name, limitBytes)
  if (bytes.length !== member.size || crc32(bytes) !== member.crc) throw new BrokenArchive(`has a damaged ${name}`)
  return bytes
}

const STORED = 0
const DEFLATED = 8
const LOCAL_HEADER = { signature: 0x04034b50, sizeBytes: 30, flags: 6, nameLength: 26, extraLength: 28 }
const ENCRYPTED_FLAG = 1

const inflate = promisify(inflateRaw)

async function inflateBounded(packed: Buffer, name: string, limitBytes: number): Promise<Buffer> {
  try {
    return await inflate(packed, { maxOutputLength: limitBytes })
  } catch (cause) {
    if (codeOf(cause) === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(name, limitBytes)
    throw new BrokenArchive(`has a damaged ${name}`, { cause })
  }
}

/** Readers differ in whether they follow the local header or the directory, so the two must tell the same name. */
async function dataOffset(handle: FileHandle, member: ZipMember): Promise<number> {
  const nameBytes = Buffer.from(member.name)
  const header = Buffer.alloc(LOCAL_HEADER.sizeBytes + nameBytes.length)
  const { bytesRead } = await handle.read(header, 0, header.length, member.offset)
  const nameLength = header.readUInt16LE(LOCAL_HEADER.nameLength)
  if (
    bytesRead < header.length ||
    header.readUInt32LE(0) !== LOCAL_HEADER.signature ||
    nameLength !== nameBytes.length ||
    !header.subarray(LOCAL_HEADER.sizeBytes).equals(nameBytes)
  ) {
    throw new BrokenArchive(`has a damaged ${baseName(member.name)}`)
  }
  if (header.readUInt16LE(LOCAL_HEADER.flags) & ENCRYPTED_FLAG) throw new BrokenArchive(`has an encrypted ${baseName(member.name)}`)
  return member.offset + header.length + header.readUInt16LE(LOCAL_HEADER.extraLength)
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

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
}
