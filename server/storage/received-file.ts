import type { OpenBlob, ReceivedBlob } from './blob-store.js'
import { openBytes, openFile } from './open-blob.js'
import type { TempFile } from './temp-file.js'

export interface ReceivedParts {
  readonly sha256: string
  readonly size: number
  readonly digests: ReceivedBlob['digests']
  readonly temp: TempFile
  /** All of it, if it was small enough to be held anyway. */
  readonly chunks: readonly Buffer[] | undefined
  /** Renames the file into place and returns the pin. */
  readonly place: (temp: TempFile) => Promise<Disposable>
}

/** A content in a temp file, and in memory while it is small. */
export class ReceivedFile implements ReceivedBlob {
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
