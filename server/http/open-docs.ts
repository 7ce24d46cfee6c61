import { Readable } from 'node:stream'
import type StreamZip from 'node-stream-zip'
import { docsPathOf, hasDocsList } from '#server/packaging/docs-archive.js'
import type { DiskBlobs } from '#server/storage/disk-blobs.js'

/** A file of a documentation as the zip lists it. */
export interface DocsFile {
  readonly size: number
  readonly crc: number
  readonly deflated: boolean
  /** Its bytes as they are packed; to be read or destroyed before the archive is closed. */
  openPacked(): Promise<Readable>
}

/** Why a blob is not opened: it is not here, or is something else. */
type NoDocs = 'absent' | 'other'

const DEFLATED = 8
/** As much of the list as is read at once; what stands there of one file must fit, and name and extra field do. */
const LIST_PIECE_BYTES = 128 * 1024
/** What an entry takes in memory beside its name, about. */
const ENTRY_BYTES = 500

/**
 * A documentation zip with its list of files, read by node-stream-zip. That
 * trusts numbers in an archive enough to fail outside of its callbacks, so
 * only what our own reader found sound is handed to it.
 */
export class OpenDocs {
  readonly listedBytes: number
  readonly #zip: StreamZip
  readonly #files: ReadonlyMap<string, StreamZip.ZipEntry>

  private constructor(zip: StreamZip, files: ReadonlyMap<string, StreamZip.ZipEntry>, listedBytes: number) {
    this.#zip = zip
    this.#files = files
    this.listedBytes = listedBytes
  }

  static async open(blobs: Pick<DiskBlobs, 'open' | 'path'>, sha256: string): Promise<OpenDocs | NoDocs> {
    const blob = await blobs.open(sha256)
    if (blob === undefined) return 'absent'
    try {
      if (!(await hasDocsList(blob))) return 'other'
    } finally {
      await blob.close()
    }
    const docs = await OpenDocs.#read(blobs.path(sha256))
    if (!(docs instanceof OpenDocs) || docs.file('index.html') !== undefined) return docs
    await docs.close()
    return 'other'
  }

  static async #read(path: string): Promise<OpenDocs | NoDocs> {
    // Names are looked up in a map and never meet the disk, so they may be any.
    const { default: Zip } = await import('node-stream-zip')
    const zip = new Zip({ file: path, storeEntries: false, skipEntryNameValidation: true, chunkSize: LIST_PIECE_BYTES })
    const files = new Map<string, StreamZip.ZipEntry>()
    let listedBytes = 0
    zip.on('entry', (entry) => {
      if (entry.isDirectory) return
      files.set(docsPathOf(entry.name), entry)
      listedBytes += ENTRY_BYTES + 2 * entry.name.length
    })
    try {
      await new Promise<void>((resolve, reject) => {
        zip.on('ready', resolve)
        zip.on('error', reject)
      })
    } catch (error) {
      await closed(zip)
      const code = codeOf(error)
      if (code === 'ENOENT') return 'absent'
      if (code === undefined) return 'other' // not the disk's fault: 64-bit records before a long comment, which nobody writes
      throw error
    }
    return new OpenDocs(zip, files, listedBytes)
  }

  file(path: string): DocsFile | undefined {
    const entry = this.#files.get(path)
    if (entry === undefined) return undefined
    const { size, crc, method } = entry
    return { size, crc, deflated: method === DEFLATED, openPacked: () => this.#openPacked(entry) }
  }

  /** Files that are being read must be done with. */
  async close(): Promise<void> {
    await closed(this.#zip)
  }

  async #openPacked(entry: StreamZip.ZipEntry): Promise<Readable> {
    const packed = await new Promise((resolve, reject) => {
      this.#zip.stream(asPacked(entry), (error: unknown, stream) => {
        if (stream === undefined) reject(error instanceof Error ? error : new Error('the archive cannot be read', { cause: error }))
        else resolve(stream)
      })
    })
    if (!(packed instanceof Readable)) throw new TypeError('node-stream-zip gave no stream')
    packed.on('error', () => undefined) // a read that fails after the stream was destroyed concerns nobody
    return packed
  }
}

const STORED = 0
const WITH_DESCRIPTOR = 8

/**
 * An entry that says it is stored, so that its stream is the packed bytes.
 * Left to unpack them, node-stream-zip puts a stream behind another whose
 * errors nobody can catch, and does not check the size of all files.
 */
function asPacked(entry: StreamZip.ZipEntry): StreamZip.ZipEntry {
  const fixed = (value: number): PropertyDescriptor => ({ get: () => value, set: () => undefined })
  return Object.create(entry, { method: fixed(STORED), flags: fixed(WITH_DESCRIPTOR) }) as StreamZip.ZipEntry
}

/** Nothing was written, so nothing is lost when closing fails. */
function closed(zip: StreamZip): Promise<void> {
  return new Promise((resolve) => zip.close(() => resolve()))
}

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
}
