/** Files above this are streamed and never cached. */
export const SMALL_FILE_BYTES = 256 * 1024

/** Small files in memory by sha256, the least recently used leaving first. Never stale: a digest names one content. */
export class SmallFileCache {
  readonly #maxBytes: number
  /** In the order of use, the oldest first. */
  readonly #files = new Map<string, Uint8Array>()
  #bytes = 0

  constructor({ maxBytes = 32 * 1024 * 1024 }: { readonly maxBytes?: number } = {}) {
    this.#maxBytes = maxBytes
  }

  /** Bytes held now. */
  get bytes(): number {
    return this.#bytes
  }

  get(sha256: string): Uint8Array | undefined {
    const file = this.#files.get(sha256)
    if (file === undefined) return undefined
    this.#files.delete(sha256)
    this.#files.set(sha256, file)
    return file
  }

  set(sha256: string, file: Uint8Array): void {
    if (file.length > SMALL_FILE_BYTES || this.#files.has(sha256)) return
    this.#files.set(sha256, file)
    this.#bytes += file.length
    for (const [oldest, { length }] of this.#files) {
      if (this.#bytes <= this.#maxBytes) return
      this.#files.delete(oldest)
      this.#bytes -= length
    }
  }
}
