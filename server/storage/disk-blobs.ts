import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, stat, unlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { Refusal } from '#log-format/api/refusal.js'
import { BlobFolders, codeOf, isFull } from './blob-folders.js'
import { BlobPins } from './blob-pins.js'
import type { BlobStat, BlobStore, ListedBlob, OpenBlob, PinnedBlob, ReceivedBlob, ReceiveOptions } from './blob-store.js'
import { ContentHasher, isSha256 } from './content-hash.js'
import { FolderSync } from './folder-sync.js'
import { openFile } from './open-blob.js'
import { ReceivedFile } from './received-file.js'
import { streamChunks } from './stream-chunks.js'
import { TempFile } from './temp-file.js'

/** Bytes collected for one write; a content below it costs a single one. */
const WRITE_BYTES = 256 * 1024
/** Who follows a content as it comes waits no longer for what came of it, however slowly it comes. */
const LONGEST_UNWRITTEN_MS = 500
const TEMP_FOLDER = '+tmp'
const STATS_AT_A_TIME = 32

/** A whole content in a file that may become a blob. */
type Placeable = Pick<TempFile, 'isSynced' | 'sync' | 'moveTo'>

/**
 * Blobs as files: `ab/abcd…` (256 folders, by the first two digits), each
 * written and synced as `+tmp/{number}` and then renamed into place. One
 * process owns the folder, which the lock of the database ensures.
 */
export class DiskBlobs implements BlobStore, AsyncDisposable {
  /** Since the start: contents received whole, and blobs removed. */
  readonly counts = { received: 0, receivedBytes: 0, removed: 0 }
  readonly #folder: string
  readonly #folders: BlobFolders
  readonly #pins = new BlobPins()
  readonly #placing = new Map<string, Promise<void>>()
  readonly #hasher = new ContentHasher()
  #temps = 0

  private constructor(folder: string) {
    this.#folder = folder
    this.#folders = new BlobFolders(folder)
  }

  /** Creates the folders as needed and removes what an earlier process left half-received. Refuses `storage-full`. */
  static async open(folder: string): Promise<DiskBlobs> {
    const blobs = new DiskBlobs(folder)
    await blobs.#prepare().catch((error: unknown) => { throw storageError(error) })
    return blobs
  }

  /** For who only looks: makes and removes nothing, and there may be no such folder. */
  static toRead(folder: string): Pick<DiskBlobs, 'open' | 'list'> {
    return new DiskBlobs(folder)
  }

  async #prepare(): Promise<void> {
    await mkdir(this.#folder, { recursive: true })
    await rm(join(this.#folder, TEMP_FOLDER), { recursive: true, force: true })
    await mkdir(join(this.#folder, TEMP_FOLDER))
    await using parent = new FolderSync(join(this.#folder, '..'))
    await parent.sync()
    await this.#folders.make()
  }

  /** Where a blob lies, present or not. Throws on anything but 64 lower-case hex digits. */
  path(sha256: string): string {
    if (!isSha256(sha256)) throw new Error(`not a sha256: ${JSON.stringify(sha256)}`)
    return join(this.#folder, sha256.slice(0, 2), sha256)
  }

  async receive(stream: Readable, { maxBytes, digests, signal, onWritten }: ReceiveOptions): Promise<ReceivedBlob> {
    const chunks = streamChunks(stream, signal)
    const hash = await this.#hasher.start(digests)
    const temp = new TempFile(this.#nextTempPath())
    let size = 0
    let pending: Buffer[] = []
    let pendingBytes = 0
    let small: readonly Buffer[] | undefined
    let writtenAt = performance.now()
    const isDue = (): boolean => pendingBytes >= WRITE_BYTES || (onWritten !== undefined && performance.now() - writtenAt >= LONGEST_UNWRITTEN_MS)
    const flush = (): Promise<void> => {
      const writing = temp.write(pending, pendingBytes)
      for (const chunk of pending) hash.update(chunk) // while the disk is busy
      pending = []
      pendingBytes = 0
      return writing
    }
    try {
      for await (const chunk of chunks) {
        size += chunk.length
        if (size > maxBytes) throw new Refusal('too-large', `the file is larger than the ${maxBytes} bytes allowed here`)
        pending.push(chunk)
        pendingBytes += chunk.length
        if (!isDue()) continue
        const last = pending
        await flush()
        writtenAt = performance.now()
        onWritten?.(temp.path, size, last)
      }
      // The disk goes on while the caller looks into the content; a commit hears of a failure.
      if (pendingBytes === size) {
        small = pending
        void flush()
      } else {
        if (pendingBytes > 0) await flush()
        temp.sync().catch(() => undefined)
      }
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

  /**
   * Makes a file a blob that is of this content for certain, synced, and on the
   * same file system. Durable when this resolves; an entry names it already.
   */
  async adopt(path: string, sha256: string): Promise<void> {
    const { size } = await stat(path)
    const pin = await this.#place({ isSynced: true, sync: () => Promise.resolve(), moveTo: (target) => rename(path, target) }, sha256)
    pin[Symbol.dispose]()
    this.#countReceived(size)
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

  /** Sets what `stat` and `list` tell of when it was received: in a cache, what was not used for the longest goes first. */
  async markUsed(sha256: string, timeMs: number): Promise<void> {
    await unlessMissing(() => utimes(this.path(sha256), timeMs / 1000, timeMs / 1000))
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
    for (const folder of this.#folders.names) {
      const names = ((await unlessMissing(() => readdir(this.#folders.path(folder)))) ?? []).filter((name) => isSha256(name) && name.startsWith(folder)).sort()
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
    await this.#folders[Symbol.asyncDispose]()
  }

  #countReceived(bytes: number): void {
    this.counts.received += 1
    this.counts.receivedBytes += bytes
  }

  #nextTempPath(): string {
    this.#temps += 1
    return join(this.#folder, TEMP_FOLDER, String(this.#temps))
  }

  /** Those of one content take turns, as each looks at what there is. */
  async #place(temp: Placeable, sha256: string): Promise<Disposable> {
    const pin = this.#pins.pin(sha256)
    const before = this.#placing.get(sha256)
    const placed = this.#placeAfter(before, temp, sha256)
    this.#placing.set(sha256, placed)
    try {
      await placed
      return pin
    } catch (error) {
      pin[Symbol.dispose]()
      throw storageError(error)
    } finally {
      if (this.#placing.get(sha256) === placed) this.#placing.delete(sha256)
    }
  }

  /**
   * A blob that is there already is replaced: the same bytes, known to be
   * durable, without having to find out whether those were, or whether they
   * are damaged. One that is new gets its name first, so that bytes and name
   * need only one commit of the file system's journal: what a crash leaves of
   * it is named by no entry, and replaced when it comes again.
   */
  async #placeAfter(before: Promise<void> | undefined, temp: Placeable, sha256: string): Promise<void> {
    await before?.catch(() => undefined)
    await this.#pins.settled(sha256)
    const path = this.path(sha256)
    const folder = sha256.slice(0, 2)
    const move = (): Promise<void> => this.#folders.moveInto(folder, () => temp.moveTo(path))
    if (temp.isSynced || existsSync(path)) {
      await temp.sync()
      await move()
      await this.#folders.sync(folder)
    } else {
      await move()
      await Promise.all([temp.sync(), this.#folders.sync(folder)]).catch(async (error: unknown) => {
        await rm(path, { force: true })
        throw error
      })
    }
  }
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
export function storageError(error: unknown): unknown {
  if (!isFull(error)) return error
  return new Refusal('storage-full', 'the disk of the server is full; nothing was stored, try again when there is room', {
    cause: error,
  })
}
