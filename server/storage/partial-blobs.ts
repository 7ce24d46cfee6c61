import { createHash, type Hash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { Refusal } from '#log-format/api/refusal.js'
import { isSha256 } from './content-hash.js'
import { type DiskBlobs, storageError } from './disk-blobs.js'
import { openFile, readPieces } from './open-blob.js'
import { streamChunks } from './stream-chunks.js'

export interface AppendOptions {
  /** More bytes than this, with those that are here, are refused `too-large`. */
  readonly maxBytes: number
  readonly signal: AbortSignal
  /** Told whenever more of the content can be read from the file, which goes away in the end. */
  readonly onWritten: (path: string, bytes: number) => void
}

const WRITE_BYTES = 256 * 1024
/** Who follows a content as it comes waits no longer for what came of it, however slowly it comes. */
const LONGEST_UNWRITTEN_MS = 500

/**
 * Contents whose digests are known before they come, as far as they came:
 * `+partial/{sha256}` beside the blobs, kept over cuts and restarts, so that
 * the rest is all that has to be sent.
 */
export class PartialBlobs {
  readonly #blobs: DiskBlobs
  readonly #folder: string
  readonly #open = new Set<string>()

  private constructor(blobs: DiskBlobs, folder: string) {
    this.#blobs = blobs
    this.#folder = folder
  }

  /** `folder` is that of the blobs. */
  static async open(blobs: DiskBlobs, folder: string): Promise<PartialBlobs> {
    const own = join(folder, '+partial')
    await mkdir(own, { recursive: true })
    return new PartialBlobs(blobs, own)
  }

  /** Goes on with a content where it was left, or begins it. One caller at a time for each digest; it disposes what it gets. */
  async resume(sha256: string): Promise<PartialBlob> {
    const path = this.#path(sha256)
    if (this.#open.has(sha256)) throw new Error(`${sha256} is being received already`)
    this.#open.add(sha256)
    try {
      return await PartialBlob.open(path, { sha256, adopt: () => this.#blobs.adopt(path, sha256), onClosed: () => this.#open.delete(sha256) })
    } catch (error) {
      this.#open.delete(sha256)
      throw error
    }
  }

  /** The digests of all that came in part. */
  async list(): Promise<string[]> {
    return (await readdir(this.#folder)).filter(isSha256)
  }

  /** Gives up what came of a content, unless it is coming now. */
  async remove(sha256: string): Promise<void> {
    if (!this.#open.has(sha256)) await rm(this.#path(sha256), { force: true })
  }

  #path(sha256: string): string {
    if (!isSha256(sha256)) throw new Error(`not a sha256: ${JSON.stringify(sha256)}`)
    return join(this.#folder, sha256)
  }
}

interface PartialParts {
  readonly sha256: string
  /** Makes the file a blob. */
  readonly adopt: () => Promise<void>
  readonly onClosed: () => void
}

/** The first bytes of a content. */
export class PartialBlob implements AsyncDisposable {
  readonly #path: string
  readonly #parts: PartialParts
  #hash: Hash
  #size: number
  #handle: FileHandle | undefined

  private constructor(path: string, parts: PartialParts, found: { readonly hash: Hash; readonly size: number }) {
    this.#path = path
    this.#parts = parts
    this.#hash = found.hash
    this.#size = found.size
  }

  /** Reads what there is. */
  static async open(path: string, parts: PartialParts): Promise<PartialBlob> {
    return new PartialBlob(path, parts, await hashedFile(path))
  }

  /** How many bytes are here. */
  get size(): number {
    return this.#size
  }

  /**
   * Adds a stream to its end. Refuses `too-large` and `storage-full`; rejects
   * with the stream's error, or with the abort reason: what came before stays.
   * The stream is not destroyed: who owns it decides.
   */
  async append(stream: Readable, { maxBytes, signal, onWritten }: AppendOptions): Promise<void> {
    let pending: Buffer[] = []
    let pendingBytes = 0
    let writtenAt = performance.now()
    const flush = async (): Promise<void> => {
      const chunks = pending
      pending = []
      pendingBytes = 0
      if (chunks.length === 0) return
      await this.#write(chunks)
      writtenAt = performance.now()
      onWritten(this.#path, this.#size)
    }
    try {
      for await (const chunk of streamChunks(stream, signal)) {
        if (this.#size + pendingBytes + chunk.length > maxBytes) throw new Refusal('too-large', `the content is larger than the ${maxBytes} bytes announced`)
        pending.push(chunk)
        pendingBytes += chunk.length
        if (pendingBytes >= WRITE_BYTES || performance.now() - writtenAt >= LONGEST_UNWRITTEN_MS) await flush()
      }
    } finally {
      await flush()
    }
  }

  /** Forgets what came. */
  async restart(): Promise<void> {
    await this.#close()
    await rm(this.#path, { force: true })
    this.#hash = createHash('sha256')
    this.#size = 0
  }

  /** Whether what is here is the content of that digest. */
  get isRight(): boolean {
    return this.#hash.copy().digest('hex') === this.#parts.sha256
  }

  /** Makes the content a blob, durable when this resolves. */
  async store(): Promise<void> {
    if (!this.isRight) throw new Error(`what came as ${this.#parts.sha256} is another content`)
    try {
      const handle = await this.#opened()
      await handle.truncate(this.#size) // a write that failed may have left more
      await handle.sync()
      await this.#close()
      await this.#parts.adopt()
    } catch (error) {
      throw storageError(error)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#close()
    } finally {
      this.#parts.onClosed()
    }
  }

  async #write(chunks: readonly Buffer[]): Promise<void> {
    try {
      const handle = await this.#opened()
      let left = chunks
      for (let position = this.#size, bytes = bytesOf(chunks); bytes > 0; ) {
        const { bytesWritten } = await handle.writev([...left], position)
        position += bytesWritten
        bytes -= bytesWritten
        if (bytes > 0) left = [Buffer.concat(left).subarray(bytesWritten)] // the rest, or the reason why not, comes with the next write
      }
    } catch (error) {
      throw storageError(error)
    }
    for (const chunk of chunks) this.#hash.update(chunk)
    this.#size += bytesOf(chunks)
  }

  async #opened(): Promise<FileHandle> {
    this.#handle ??= await open(this.#path, constants.O_RDWR | constants.O_CREAT)
    return this.#handle
  }

  async #close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    await handle?.close()
  }
}

function bytesOf(chunks: readonly Buffer[]): number {
  return chunks.reduce((sum, { length }) => sum + length, 0)
}

async function hashedFile(path: string): Promise<{ readonly hash: Hash; readonly size: number }> {
  const hash = createHash('sha256')
  let size = 0
  const file = await openFile(path).catch((error: unknown) => {
    if (typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  })
  try {
    await (file && readPieces(file, (piece) => {
      hash.update(piece)
      size += piece.length
    }))
  } finally {
    await file?.close()
  }
  return { hash, size }
}
