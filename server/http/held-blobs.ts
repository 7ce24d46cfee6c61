import type { BlobStore, PinnedBlob } from '#server/storage/blob-store.js'

/** Blobs that stay where they are while an entry is written that names them again. */
export class HeldBlobs implements Disposable {
  readonly #held: PinnedBlob[] = []

  /** Holds all of them; undefined when one is not there any more. */
  static async of(blobs: Pick<BlobStore, 'hold'>, digests: Iterable<string>): Promise<HeldBlobs | undefined> {
    const holding = new HeldBlobs()
    try {
      for (const sha256 of digests) {
        const held = await blobs.hold(sha256)
        if (held === undefined) {
          holding[Symbol.dispose]()
          return undefined
        }
        holding.add(held)
      }
      return holding
    } catch (error) {
      holding[Symbol.dispose]()
      throw error
    }
  }

  /** Holds one more that somebody else had held until now. */
  add(held: PinnedBlob): void {
    this.#held.push(held)
  }

  [Symbol.dispose](): void {
    for (const held of this.#held) held[Symbol.dispose]()
    this.#held.length = 0
  }
}
