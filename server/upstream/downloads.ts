import { Refusal } from '#log-format/api/refusal.js'

/** What came last of a file, for those who have all before it: they need not read it from the disk. */
export interface RecentBytes {
  readonly start: number
  /** May go beyond what is to be given to anybody yet. */
  readonly chunks: readonly Uint8Array[]
}

/** How much of a file is here. */
export type DownloadProgress =
  /** The first bytes can be read from a file, which may go away once all are here. */
  | { readonly kind: 'partial'; readonly path: string; readonly bytes: number; readonly recent?: RecentBytes }
  | { readonly kind: 'whole'; readonly sha256: string; readonly size: number }

/** What a download tells of itself. */
export interface DownloadSteps {
  /** The other side is sending; with the size in bytes of the whole file, if it is known. */
  begun(size: number | undefined): void
  /** So many of the first bytes can be read from the file at `path`; `last` are the last of them, where they are at hand. */
  written(path: string, bytes: number, last?: readonly Uint8Array[]): void
  /** So many bytes are all, and the right ones: who waits for the last of them need not wait for the disk. */
  verified(size: number): void
}

/** Fetches a file and stores it; resolves once it is in the store and was found to be the right one. */
export type DownloadWork = (steps: DownloadSteps, signal: AbortSignal) => Promise<{ readonly sha256: string; readonly size: number }>

/** A file on its way to the store. Its last byte is given to nobody before its digest is found right. */
export class Download {
  /** In bytes, as the other side said when it began to send; undefined if it did not. Rejects if it sends nothing. */
  readonly announcedSize: Promise<number | undefined>
  #size: number | undefined
  #begunAt = Infinity
  #progress: DownloadProgress | undefined
  #failure: { readonly error: unknown } | undefined
  #waiting: (() => void)[] = []

  constructor(work: DownloadWork, signal: AbortSignal) {
    let tell = (_size: number | undefined): void => undefined
    const announced = new Promise<number | undefined>((resolve) => { tell = resolve })
    const begun = (size: number | undefined): void => {
      this.#size = size
      this.#begunAt = performance.now()
      tell(size)
    }
    const steps: DownloadSteps = {
      begun,
      written: (path, bytes, last = []) => {
        const start = bytes - last.reduce((sum, { length }) => sum + length, 0)
        this.#readable(path, Math.min(bytes, this.#size ?? Infinity) - 1, last.length > 0 ? { start, chunks: last } : undefined)
      },
      verified: (bytes) => { if (this.#progress?.kind === 'partial') this.#readable(this.#progress.path, bytes) },
    }
    const whole = work(steps, signal).then(
      (stored) => {
        this.#progress = { kind: 'whole', sha256: stored.sha256, size: stored.size }
        this.#wake()
        return stored.size
      },
      (error: unknown) => {
        this.#failure = { error }
        this.#wake()
        throw error
      },
    )
    this.announcedSize = Promise.race([announced, whole])
    this.announcedSize.catch(() => undefined)
    whole.catch(() => undefined)
  }

  /** Resolves once there is more than the first `position` bytes. Rejects when the download failed. */
  async beyond(position: number): Promise<DownloadProgress> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.error
      const progress = this.#progress
      if (progress !== undefined && (progress.kind === 'whole' || progress.bytes > position)) return progress
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** How long it takes until all is here, in ms, if it goes on as it did; undefined while that cannot be told. */
  get msLeft(): number | undefined {
    if (this.#size === undefined || this.#progress?.kind !== 'partial' || this.#progress.bytes === 0) return undefined
    const { bytes } = this.#progress
    return ((performance.now() - this.#begunAt) * (this.#size - bytes)) / bytes
  }

  /** Resolves with what it turned out to be, once all of it is in the store. */
  async whole(): Promise<{ readonly sha256: string; readonly size: number }> {
    const progress = await this.beyond(Infinity)
    if (progress.kind !== 'whole') throw new Error('a download ended without its last byte')
    return progress
  }

  /** Resolves when nothing goes on any more. */
  async settled(): Promise<void> {
    await this.whole().then(() => undefined, () => undefined)
  }

  #readable(path: string, bytes: number, recent?: RecentBytes): void {
    this.#progress = { kind: 'partial', path, bytes, ...(recent !== undefined && { recent }) }
    this.#wake()
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}

/** However slowly a file comes, it has come by then, or never will. */
const LONGEST_DOWNLOAD_MS = 60 * 60 * 1000

/** The downloads under way: one of each name, however many want it. */
export class Downloads implements AsyncDisposable {
  readonly #running = new Map<string, Download>()
  readonly #stop = new AbortController()
  /** Downloads begun since the start, and those that came to nothing: also a content that was not what was announced. */
  readonly counts = { started: 0, failed: 0 }

  /** The download of that name; if it is not under way, it begins with `work`. */
  of(name: string, work: DownloadWork): Download {
    const running = this.#running.get(name)
    if (running !== undefined) return running
    const download = new Download(work, AbortSignal.any([this.#stop.signal, AbortSignal.timeout(LONGEST_DOWNLOAD_MS)]))
    this.counts.started += 1
    this.#running.set(name, download)
    void download
      .whole()
      .catch(() => { this.counts.failed += 1 })
      .finally(() => this.#running.delete(name))
    return download
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Refusal('not-available', 'the server is shutting down'))
    await Promise.all([...this.#running.values()].map((download) => download.settled()))
  }
}
