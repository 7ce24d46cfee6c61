import { mkdir, readdir, readFile, rename, rm, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { Refusal } from '#log-format/api/refusal.js'
import { BlobPins } from './blob-pins.js'
import type { BlobStat, BlobStore, ListedBlob, OpenBlob, PinnedBlob, ReceivedBlob, ReceiveOptions } from './blob-store.js'
import { ContentHasher } from './content-hash.js'
import { FolderSync } from './folder-sync.js'
import { openBytes, openFile } from './open-blob.js'
import { streamChunks } from './stream-chunks.js'
import { TempFile } from './temp-file.js'

/** Bytes collected for one write; a content below it costs a single one. */
const WRITE_BYTES = 256 * 1024
const TEMP_FOLDER = '+tmp'
const STATS_AT_A_TIME = 32

/**
 * Blobs as files: `ab/abcd…` (up to 256 folders, by the first two digits), each
 * written and synced as `+tmp/{number}` and then renamed into place. One
 * process owns the folder, which the lock of the database ensures.
 */
export class DiskBlobs implements BlobStore, AsyncDisposable {
  /** Since the start: contents received whole, and blobs removed. */
  readonly counts = { received: 0, receivedBytes: 0, removed: 0 }
  readonly #folder: string
  readonly #folderSync: FolderSync
  /** By the first two digits; the folder exists, durably, when its promise resolves. */
  readonly #fanOut = new Map<string, Promise<FolderSync>>()
  readonly #pins = new BlobPins()
  readonly #hasher = new ContentHasher()
  #temps = 0

  private constructor(folder: string) {
    this.#folder = folder
    this.#folderSync = new FolderSync(folder)
  }

  /** Creates the folder as needed and removes what an earlier process left half-received. */
  static async open(folder: string): Promise<DiskBlobs> {
    await mkdir(folder, { recursive: true })
    await rm(join(folder, TEMP_FOLDER), { recursive: true, force: true })
    await mkdir(join(folder, TEMP_FOLDER))
    await using parent = new FolderSync(join(folder, '..'))
    await parent.sync()
    const blobs = new DiskBlobs(folder)
    await blobs.#folderSync.sync() // an earlier process may have died between making a subfolder and this
    return blobs
  }

  /** Where a blob lies, present or not. Throws on anything but 64 lower-case hex digits. */
  path(sha256: string): string {
    if (!isSha256(sha256)) throw new Error(`not a sha256: ${JSON.stringify(sha256)}`)
    return join(this.#folder, sha256.slice(0, 2), sha256)
  }

  async receive(stream: Readable, { maxBytes, digests, signal }: ReceiveOptions): Promise<ReceivedBlob> {
    const chunks = streamChunks(stream, signal)
    const hash = await this.#hasher.start(digests)
    const temp = new TempFile(this.#nextTempPath())
    let size = 0
    let pending: Buffer[] = []
    let pendingBytes = 0
    let small: readonly Buffer[] | undefined
    const flush = async (): Promise<void> => {
      const writing = temp.write(pending, pendingBytes)
      for (const chunk of pending) hash.update(chunk) // while the disk is busy
      pending = []
      pendingBytes = 0
      await writing
    }
    try {
      for await (const chunk of chunks) {
        size += chunk.length
        if (size > maxBytes) throw new Refusal('too-large', `the file is larger than the ${maxBytes} bytes allowed here`)
        pending.push(chunk)
        pendingBytes += chunk.length
        if (pendingBytes >= WRITE_BYTES) await flush()
      }
      if (size < WRITE_BYTES) small = pending
      if (pendingBytes > 0 || size === 0) await flush()
      temp.sync().catch(() => undefined) // while the caller looks into the file; a commit awaits it and hears of a failure
    } catch (error) {
      await temp.remove()
      throw storageError(error)
    }
    this.#countReceived(size)
    const found = hash.digest()
    return new ReceivedFile({ sha256: found.sha256, size, digests: found, temp, chunks: small, place: (file) => this.#place(file, found.sha256) })
  }

  async putBytes(bytes: Uint8Array, { signal }: { readonly signal?: AbortSignal } = {}): Promise<PinnedBlob> {
    const hash = await this.#hasher.start()
    hash.update(bytes)
    const { sha256 } = hash.digest()
    signal?.throwIfAborted()
    const temp = new TempFile(this.#nextTempPath())
    try {
      await temp.write([bytes], bytes.length)
      const pin = await this.#place(temp, sha256)
      this.#countReceived(bytes.length)
      return { sha256, size: bytes.length, [Symbol.dispose]: () => pin[Symbol.dispose]() }
    } catch (error) {
      await temp.remove()
      throw storageError(error)
    }
  }

  pin(sha256: string): Disposable {
    return this.#pins.pin(sha256)
  }

  async hold(sha256: string): Promise<PinnedBlob | undefined> {
    const pin = this.#pins.pin(sha256)
    try {
      await this.#pins.settled(sha256)
      const found = await this.stat(sha256)
      if (found !== undefined) return { sha256, size: found.size, [Symbol.dispose]: () => pin[Symbol.dispose]() }
    } catch (error) {
      pin[Symbol.dispose]()
      throw error
    }
    pin[Symbol.dispose]()
    return undefined
  }

  async stat(sha256: string): Promise<BlobStat | undefined> {
    return unlessMissing(async () => {
      const { size, mtimeMs } = await stat(this.path(sha256))
      return { size, mtimeMs }
    })
  }

  async open(sha256: string): Promise<OpenBlob | undefined> {
    return unlessMissing(() => openFile(this.path(sha256)))
  }

  async read(sha256: string): Promise<Uint8Array | undefined> {
    return unlessMissing(() => readFile(this.path(sha256)))
  }

  async delete(sha256: string, { onlyIf }: { readonly onlyIf?: () => boolean | Promise<boolean> } = {}): Promise<boolean> {
    const path = this.path(sha256)
    const remove = async (): Promise<boolean> => (await unlessMissing(() => unlink(path).then(() => true))) ?? false
    const removed = await this.#pins.remove(sha256, remove, onlyIf)
    if (removed) this.counts.removed += 1
    return removed
  }

  async *list(): AsyncGenerator<ListedBlob> {
    const folders = (await readdir(this.#folder)).filter((name) => /^[0-9a-f]{2}$/.test(name)).sort()
    for (const folder of folders) {
      const names = (await readdir(join(this.#folder, folder))).filter((name) => isSha256(name) && name.startsWith(folder)).sort()
      for (let first = 0; first < names.length; first += STATS_AT_A_TIME) {
        const some = names.slice(first, first + STATS_AT_A_TIME)
        const stats = await Promise.all(some.map((sha256) => this.stat(sha256)))
        for (const [index, sha256] of some.entries()) {
          const found = stats[index]
          if (found !== undefined) yield { sha256, ...found }
        }
      }
    }
  }

  /** Whoever received a blob must have disposed it before. */
  async [Symbol.asyncDispose](): Promise<void> {
    const syncs = await Promise.allSettled(this.#fanOut.values())
    for (const sync of syncs) if (sync.status === 'fulfilled') await sync.value[Symbol.asyncDispose]()
    await this.#folderSync[Symbol.asyncDispose]()
  }

  #countReceived(bytes: number): void {
    this.counts.received += 1
    this.counts.receivedBytes += bytes
  }

  #nextTempPath(): string {
    this.#temps += 1
    return join(this.#folder, TEMP_FOLDER, String(this.#temps))
  }

  /**
   * Replaces a blob that is there already: the same bytes, known to be durable,
   * without having to find out whether those were, or whether they are damaged.
   */
  async #place(temp: TempFile, sha256: string): Promise<Disposable> {
    const pin = this.#pins.pin(sha256)
    try {
      const [subfolder] = await Promise.all([this.#subfolder(sha256.slice(0, 2)), temp.sync()])
      await this.#pins.settled(sha256)
      await rename(temp.path, this.path(sha256))
      await subfolder.sync()
      return pin
    } catch (error) {
      pin[Symbol.dispose]()
      throw storageError(error)
    }
  }

  #subfolder(name: string): Promise<FolderSync> {
    let subfolder = this.#fanOut.get(name)
    if (subfolder === undefined) {
      subfolder = this.#makeSubfolder(join(this.#folder, name))
      this.#fanOut.set(name, subfolder)
      subfolder.catch(() => this.#fanOut.delete(name)) // the next commit tries again
    }
    return subfolder
  }

  async #makeSubfolder(path: string): Promise<FolderSync> {
    const made = await mkdir(path, { recursive: true })
    if (made !== undefined) await this.#folderSync.sync()
    return new FolderSync(path)
  }
}

interface ReceivedParts {
  readonly sha256: string
  readonly size: number
  readonly digests: ReceivedBlob['digests']
  readonly temp: TempFile
  /** All of it, if it was small enough to be held anyway. */
  readonly chunks: readonly Buffer[] | undefined
  /** Renames the file into place and returns the pin. */
  readonly place: (temp: TempFile) => Promise<Disposable>
}

class ReceivedFile implements ReceivedBlob {
  readonly sha256: string
  readonly size: number
  readonly digests: ReceivedBlob['digests']
  readonly #parts: ReceivedParts
  #placed: Promise<Disposable> | undefined

  constructor(parts: ReceivedParts) {
    this.sha256 = parts.sha256
    this.size = parts.size
    this.digests = parts.digests
    this.#parts = parts
  }

  async open(): Promise<OpenBlob> {
    const { chunks, temp } = this.#parts
    return chunks === undefined ? openFile(temp.path) : openBytes(...chunks)
  }

  async commit(): Promise<void> {
    this.#placed ??= this.#parts.place(this.#parts.temp)
    await this.#placed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pin = await this.#placed?.catch(() => undefined)
    if (pin === undefined) await this.#parts.temp.remove()
    else pin[Symbol.dispose]()
  }
}

function isSha256(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text)
}

async function unlessMissing<T>(action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action()
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** A full disk, or a used-up quota, is a refusal. */
function storageError(error: unknown): unknown {
  const code = codeOf(error)
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error
  return new Refusal('storage-full', 'the disk of the server is full; nothing was stored, try again when there is room', {
    cause: error,
  })
}

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
}
