import { RecentMap } from '#server/auth/recent-map.js'

/** Where it is kept when a blob was used last. */
export interface MarkedBlobs {
  markUsed(sha256: string, timeMs: number): Promise<void>
}

const MOST_REMEMBERED = 50_000
const MARK_EVERY_MS = 60 * 60 * 1000

/** Marks files of mirrors as used, each now and then: what is not is the first to make room for others. */
export class UsedBlobs {
  readonly #blobs: MarkedBlobs
  readonly #now: () => number
  readonly #marked = new RecentMap<number>(MOST_REMEMBERED)

  constructor(blobs: MarkedBlobs, now: () => number) {
    this.#blobs = blobs
    this.#now = now
  }

  async used(sha256: string): Promise<void> {
    const time = this.#now()
    if (time - (this.#marked.get(sha256) ?? -Infinity) < MARK_EVERY_MS) return
    this.#marked.set(sha256, time)
    await this.#blobs.markUsed(sha256, time)
  }
}
