import type { Readable } from 'node:stream'
import { Refusal } from '#log-format/api/refusal.js'
import { BlobPins } from '#server/storage/blob-pins.js'
import type { BlobStat, BlobStore, ListedBlob, OpenBlob, PinnedBlob, ReceivedBlob, ReceiveOptions } from '#server/storage/blob-store.js'
import { ContentHasher } from '#server/storage/content-hash.js'
import { openBytes } from '#server/storage/open-blob.js'
import { streamChunks } from '#server/storage/stream-chunks.js'

interface Content {
  readonly bytes: Buffer
  readonly mtimeMs: number
}

/** Blobs in memory, for tests of what needs a store but no disk. */
export class MemoryBlobs implements BlobStore {
  readonly #contents = new Map<string, Content>()
  readonly #pins = new BlobPins()
  readonly #hasher = new ContentHasher()

  async receive(stream: Readable, { maxBytes, digests: names, signal }: ReceiveOptions): Promise<ReceivedBlob> {
    const arriving = streamChunks(stream, signal)
    const hash = await this.#hasher.start(names)
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of arriving) {
      size += chunk.length
      if (size > maxBytes) throw new Refusal('too-large', `the file is larger than the ${maxBytes} bytes allowed here`)
      hash.update(chunk)
      chunks.push(chunk)
    }
    const digests = hash.digest()
    const bytes = Buffer.concat(chunks)
    let pin: Disposable | undefined
    return {
      sha256: digests.sha256,
      size,
      digests,
      open: async () => openBytes(bytes),
      commit: async () => {
        pin ??= await this.#place(digests.sha256, bytes)
      },
      [Symbol.asyncDispose]: async () => {
        pin?.[Symbol.dispose]()
      },
    }
  }

  async putBytes(bytes: Uint8Array): Promise<PinnedBlob> {
    const hash = await this.#hasher.start()
    hash.update(bytes)
    const { sha256 } = hash.digest()
    const pin = await this.#place(sha256, Buffer.from(bytes))
    return { sha256, size: bytes.length, [Symbol.dispose]: () => pin[Symbol.dispose]() }
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
    const found = this.#contents.get(sha256)
    return found && { size: found.bytes.length, mtimeMs: found.mtimeMs }
  }

  async open(sha256: string): Promise<OpenBlob | undefined> {
    const found = this.#contents.get(sha256)
    return found && openBytes(found.bytes)
  }

  async read(sha256: string): Promise<Uint8Array | undefined> {
    return this.#contents.get(sha256)?.bytes
  }

  async delete(sha256: string, { onlyIf }: { readonly onlyIf?: () => boolean | Promise<boolean> } = {}): Promise<boolean> {
    return this.#pins.remove(sha256, async () => this.#contents.delete(sha256), onlyIf)
  }

  async *list(): AsyncGenerator<ListedBlob> {
    for (const sha256 of [...this.#contents.keys()].sort()) {
      const found = await this.stat(sha256)
      if (found !== undefined) yield { sha256, ...found }
    }
  }

  async #place(sha256: string, bytes: Buffer): Promise<Disposable> {
    const pin = this.#pins.pin(sha256)
    await this.#pins.settled(sha256)
    this.#contents.set(sha256, { bytes, mtimeMs: Date.now() })
    return pin
  }
}
