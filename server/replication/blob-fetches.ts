import { setTimeout as wait } from 'node:timers/promises'
import { Refusal } from '#log-format/api/refusal.js'
import { RecentMap } from '#server/auth/recent-map.js'
import type { PartialBlob, PartialBlobs } from '#server/storage/partial-blobs.js'
import { type Download, Downloads, type DownloadSteps } from '#server/upstream/downloads.js'
import type { BlobBacklog } from './blob-backlog.js'
import type { BlobSources } from './blob-sources.js'

export interface WantedBlob {
  readonly sha256: string
  /** As the log says it. */
  readonly size?: number
}

export interface BlobFetchesInput {
  readonly sources: Pick<BlobSources, 'open'>
  readonly partials: PartialBlobs
  /** What failed before is asked of another node, and cleared when it comes. */
  readonly backlog: Pick<BlobBacklog, 'failuresOf' | 'clear'>
  /** Of a content of which the log does not say the size. */
  readonly maxBytes: number
  /** Free bytes on the disk of the blobs. */
  readonly freeBytes: () => Promise<number>
  /** How long to wait after a first cut, in ms; twice as long after the next. */
  readonly cutPauseMs?: number
}

/**
 * Free bytes that contents leave on the disk: more than the log needs to be
 * written, which is the last thing that may stop.
 */
export const KEPT_FREE_BYTES = 128 * 1024 * 1024
/** Cuts in a row, without a byte between them, that end a fetch. */
const MOST_CUTS = 3
const CUT_PAUSE_MS = 250
const MOST_TURNS = 1000

/** Contents on their way from other nodes: each one once, however many wait for it. */
export class BlobFetches implements AsyncDisposable {
  readonly #input: BlobFetchesInput
  readonly #downloads = new Downloads()
  /** The node to begin with, for contents of which one sent something wrong or too little since the start. */
  readonly #turns = new RecentMap<number>(MOST_TURNS)
  /** Bytes that are still to come of what is under way. */
  #expectedBytes = 0
  /** Since the start: contents that came whole, bytes of them that were sent, and how often a part was sent after a cut. */
  readonly counts = { fetched: 0, bytes: 0, resumed: 0 }

  constructor(input: BlobFetchesInput) {
    this.#input = input
  }

  /** The fetch of a content, begun if it is not under way. It refuses as `BlobSources.open` does, and `storage-full`. */
  of(wanted: WantedBlob): Download {
    return this.#downloads.of(wanted.sha256, (steps, signal) => this.#fetch(wanted, steps, signal))
  }

  /** Whether there is room for small contents at least. */
  async hasRoom(): Promise<boolean> {
    return (await this.#input.freeBytes()) - this.#expectedBytes >= KEPT_FREE_BYTES
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#downloads[Symbol.asyncDispose]()
  }

  /** Whatever fails with one node is asked of the next one the time after: one step for each failure, or the right node may be skipped for ever. */
  async #fetch(wanted: WantedBlob, steps: DownloadSteps, signal: AbortSignal): Promise<{ readonly sha256: string; readonly size: number }> {
    const { sha256 } = wanted
    const turn = this.#turns.get(sha256) ?? this.#input.backlog.failuresOf(sha256)
    try {
      const stored = await this.#fetchFrom(turn, wanted, steps, signal)
      this.#turns.delete(sha256)
      return stored
    } catch (error) {
      if (error instanceof Refusal && error.kind === 'upstream-failed') this.#turns.set(sha256, turn + 1)
      throw error
    }
  }

  async #fetchFrom(turn: number, { sha256, size: known }: WantedBlob, steps: DownloadSteps, signal: AbortSignal): Promise<{ readonly sha256: string; readonly size: number }> {
    const { partials, backlog } = this.#input
    await using partial = await partials.resume(sha256)
    if (known !== undefined) {
      if (partial.size > known) await partial.restart()
      steps.begun(known)
    }
    const size = await this.#receive(partial, { sha256, turn, ...(known !== undefined && { size: known }) }, steps, signal)
    if (!partial.isRight) {
      await partial.restart()
      throw new Refusal('upstream-failed', `what was sent as content ${sha256} is another one; nothing was stored`)
    }
    steps.verified(size)
    await partial.store()
    this.counts.fetched += 1
    await backlog.clear(sha256)
    return { sha256, size }
  }

  /** Goes on after cuts, as long as something comes between them. Resolves to the size of the whole. */
  async #receive(partial: PartialBlob, { sha256, turn, size }: WantedBlob & { readonly turn: number }, steps: DownloadSteps, signal: AbortSignal): Promise<number> {
    let whole = size
    for (let cuts = 0; partial.size !== whole; ) {
      const before = partial.size
      try {
        whole = await this.#receiveOnce(partial, { sha256, turn, ...(whole !== undefined && { size: whole }) }, steps, signal)
        if (partial.size === whole) break
        throw new Refusal('upstream-failed', `only ${partial.size} of ${whole} bytes were sent`)
      } catch (error) {
        if (signal.aborted || !isCut(error)) throw error
        cuts = partial.size === before ? cuts + 1 : 1
        if (partial.size === 0 || cuts > MOST_CUTS) throw error
        await wait((this.#input.cutPauseMs ?? CUT_PAUSE_MS) * 2 ** (cuts - 1), undefined, { signal })
      }
    }
    return partial.size
  }

  async #receiveOnce(partial: PartialBlob, { sha256, turn, size }: WantedBlob & { readonly turn: number }, steps: DownloadSteps, signal: AbortSignal): Promise<number> {
    const { sources, maxBytes } = this.#input
    const sent = await sources.open({ sha256, from: partial.size, turn, signal, ...(size !== undefined && { size }) })
    const before = partial.size
    let reserved = 0
    try {
      if (sent.from === 0 && partial.size > 0) await partial.restart()
      if (sent.from > 0) this.counts.resumed += 1
      if (size === undefined) {
        if (sent.size > maxBytes) throw new Refusal('too-large', `the content has ${sent.size} bytes, more than the ${maxBytes} allowed here`)
        steps.begun(sent.size)
      }
      await this.#ensureRoom(sent.size - partial.size)
      reserved = sent.size - partial.size
      this.#expectedBytes += reserved
      await partial.append(sent.body, { maxBytes: sent.size, signal, onWritten: (path, bytes) => { steps.written(path, bytes) } })
    } catch (error) {
      if (error instanceof Refusal || signal.aborted || !sent.body.destroyed) throw error
      throw new Refusal('upstream-failed', `the connection to ${sent.host} broke before all of it was sent`, { cause: error })
    } finally {
      this.#expectedBytes -= reserved
      this.counts.bytes += Math.max(0, partial.size - (sent.from === 0 ? 0 : before))
      sent.body.destroy()
    }
    return sent.size
  }

  /** Refuses `storage-full` what would leave too little for the log. */
  async #ensureRoom(bytes: number): Promise<void> {
    const free = await this.#input.freeBytes()
    if (free - this.#expectedBytes - bytes >= KEPT_FREE_BYTES) return
    throw new Refusal('storage-full', `the disk of this server has no room for another ${bytes} bytes, of which ${KEPT_FREE_BYTES} stay free`)
  }
}

/** What may be over in a moment: the connection broke, or no node is there to ask. */
function isCut(error: unknown): boolean {
  return error instanceof Refusal && (error.kind === 'not-available' || error.kind === 'upstream-failed')
}

/** Why a fetch failed, if it did; does not wait beyond an abort. */
export async function refusalOf(fetched: Promise<unknown>, signal: AbortSignal): Promise<Refusal | undefined> {
  let stop = (): void => undefined
  try {
    await new Promise<void>((resolve, reject) => {
      stop = resolve
      signal.addEventListener('abort', stop, { once: true })
      fetched.then(() => { resolve() }, reject)
    })
    return undefined
  } catch (error) {
    if (error instanceof Refusal) return error
    throw error
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
