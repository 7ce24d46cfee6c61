import type { Frame } from '#log-format/framing.js'
import type { Storage } from '#server/storage/storage.js'

/**
 * Waiting bytes from which on no more are read from the primary, and so about
 * the most of a batch: larger ones spare few syncs, and what is made of their
 * entries lives long enough to be copied by every collection of garbage.
 */
const MOST_WAITING_BYTES = 1024 * 1024
/** Batches on their way: one is folded while another one is written. */
const MOST_BATCHES = 2

/** Told of what comes of entries, also while nobody adds any. */
export interface ImportWatch {
  readonly onImported: () => void
  readonly onFailed: () => void
}

/**
 * Hands entries to the storage as they come: a single one at once, and while
 * batches are on their way all that arrive in the meantime together.
 */
export class ImportQueue {
  readonly #storage: Storage
  readonly #watch: ImportWatch
  #waiting: Frame[] = []
  #waitingBytes = 0
  #batches = 0
  #failure: { readonly error: unknown } | undefined
  #wake: (() => void) | undefined

  constructor(storage: Storage, watch: ImportWatch) {
    this.#storage = storage
    this.#watch = watch
  }

  /** Resolves when there is room for more. Rejects with what the first failed import threw, after which nothing is taken. */
  async add(frames: readonly Frame[]): Promise<void> {
    for (const frame of frames) {
      this.#waiting.push(frame)
      this.#waitingBytes += frame.bytes.length
    }
    this.#start()
    await this.#until(() => this.#waitingBytes < MOST_WAITING_BYTES)
  }

  /** Resolves when all that was added is on the disk. */
  async settle(): Promise<void> {
    await this.#until(() => this.#batches === 0 && this.#waiting.length === 0)
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (this.#failure === undefined && !isSo()) await new Promise<void>((resolve) => (this.#wake = resolve))
    if (this.#failure === undefined) return
    while (this.#batches > 0) await new Promise<void>((resolve) => (this.#wake = resolve)) // nothing of this is under way when the next begins
    throw this.#failure.error
  }

  #start(): void {
    if (this.#batches >= MOST_BATCHES || this.#waiting.length === 0 || this.#failure !== undefined) return
    const batch = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    this.#batches += 1
    void this.#storage
      .importEntries(batch)
      .then(
        () => { this.#watch.onImported() },
        (error: unknown) => {
          this.#failure ??= { error }
          this.#watch.onFailed()
        },
      )
      .then(() => {
        this.#batches -= 1
        this.#start()
        this.#wake?.()
      })
    this.#wake?.()
  }
}
