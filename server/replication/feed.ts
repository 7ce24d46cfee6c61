import { setMaxListeners } from 'node:events'
import { Refusal } from '#log-format/api/refusal.js'
import { digestHex, EMPTY_CHAIN, entryDigest } from '#log-format/chain.js'
import { readEntry } from '#log-format/codec.js'
import { frameHeader, heartbeatFrame } from '#log-format/framing.js'
import { nextSerial, type Serial, toSerial } from '#log-format/serial.js'
import type { Storage } from '#server/storage/storage.js'

/** After so long without an entry a heartbeat says that the stream still goes on. */
export const HEARTBEAT_MS = 10_000
/**
 * A stream ends after so long, at the next pause between entries, and the
 * replica asks for the next one on the same connection: so this side, too,
 * notices that a replica is gone, and looks at its token and history anew.
 */
const STREAM_MS = 20_000
/** Streams at a time. Each holds no more than the batch that is being sent. */
const MOST_STREAMS = 512
/** Snapshots at a time: each keeps what is replaced meanwhile on the disk, and reads as fast as it is taken. */
const MOST_SNAPSHOTS = 2
/** Heartbeats between entries, at most this often: whoever catches up learns how far the log is. */
const PROGRESS_MS = 1000

export interface FeedOptions {
  readonly storage: Storage
  /** ms since the epoch. */
  readonly now: () => number
  readonly heartbeatMs?: number
  readonly streamMs?: number
}

export interface FeedStart {
  /** The first entry to send. */
  readonly from: Serial
  /** Digest of the entry before that one, as whoever asks has it; undefined when it is not said. */
  readonly parent: string | undefined
}

/** Part of a stream. */
export interface FeedPiece {
  readonly bytes: Uint8Array
  /** The newest entry in it or before it. */
  readonly serial: Serial
}

/** Sends the log to whoever follows it. Disposing it ends the streams, and resolves when the last one is gone. */
export class Feed implements AsyncDisposable {
  readonly heartbeatMs: number
  readonly #storage: Storage
  readonly #now: () => number
  readonly #streamMs: number
  readonly #stopping = new AbortController()
  #open = 0
  #snapshots = 0
  #whenEmpty: (() => void) | undefined

  constructor({ storage, now, heartbeatMs = HEARTBEAT_MS, streamMs = STREAM_MS }: FeedOptions) {
    this.#storage = storage
    this.#now = now
    this.heartbeatMs = heartbeatMs
    this.#streamMs = streamMs
    setMaxListeners(0, this.#stopping.signal) // every stream listens
  }

  get open(): number {
    return this.#open
  }

  /**
   * Whether a stream can begin there. Refuses `not-found` when the log does
   * not reach that far, and `conflict`, with the digest that the entry before
   * has here, when it is of another history.
   */
  async check({ from, parent }: FeedStart): Promise<void> {
    const { serial: head } = this.#storage.head
    if (from > nextSerial(head)) {
      throw new Refusal('not-found', `this log goes on with serial ${nextSerial(head)}, it has nothing before ${from}`)
    }
    if (parent === undefined) return
    const here = digestHex(await this.#digestBefore(from))
    if (here === parent) return
    const message = `the histories differ: the digest at serial ${from - 1} is ${here} here, not ${parent}`
    throw new Refusal('conflict', message, { headers: { 'X-DEVPI-PARENT': here } })
  }

  /**
   * Entries as frames, as fast as they are taken, then new ones as they come,
   * until the signal is aborted or the time of a stream is over. Nothing is
   * prepared for who does not take it. Refuses `not-available` when there are
   * too many streams, or the server stops.
   */
  async *stream(from: Serial, signal: AbortSignal): AsyncGenerator<FeedPiece> {
    using _place = this.#enter()
    using ending = new EitherSignal(signal, this.#stopping.signal)
    const end = ending.signal
    const endMs = performance.now() + this.#streamMs
    let sent = toSerial(from - 1)
    let digest = await this.#digestBefore(from)
    let beat = -Infinity
    while (!end.aborted) {
      for await (const entries of this.#storage.entries.read(nextSerial(sent))) {
        const pieces: Uint8Array[] = []
        for (const { serial, bytes } of entries) {
          digest = entryDigest(digest, bytes)
          pieces.push(frameHeader(bytes, digest), bytes)
          sent = serial
        }
        if (performance.now() - beat >= PROGRESS_MS) {
          beat = performance.now()
          pieces.push(this.#heartbeat())
        }
        yield { bytes: Buffer.concat(pieces), serial: sent }
        if (end.aborted) return
      }
      const leftMs = endMs - performance.now()
      if (leftMs <= 0) return
      if (await this.#nextCommit(sent, Math.min(this.heartbeatMs, leftMs), end)) continue
      if (!end.aborted) yield { bytes: this.#heartbeat(), serial: sent }
    }
  }

  /** All that a new replica needs to follow from now on; refuses as `stream` does. It is cut off when the server stops. */
  async *snapshot(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    using _place = this.#enter()
    if (this.#snapshots >= MOST_SNAPSHOTS) throw new Refusal('not-available', 'too many replicas begin at a time; try again later')
    using ending = new EitherSignal(signal, this.#stopping.signal)
    this.#snapshots += 1
    try {
      for await (const piece of this.#storage.snapshot()) {
        if (ending.signal.aborted) return
        yield piece
      }
    } finally {
      this.#snapshots -= 1
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    if (this.#open > 0) await new Promise<void>((resolve) => (this.#whenEmpty = resolve))
  }

  #enter(): Disposable {
    if (this.#stopping.signal.aborted) throw new Refusal('not-available', 'the server is shutting down')
    if (this.#open >= MOST_STREAMS) throw new Refusal('not-available', 'too many replicas follow at a time; try again later')
    this.#open += 1
    return {
      [Symbol.dispose]: () => {
        this.#open -= 1
        if (this.#open === 0) this.#whenEmpty?.()
      },
    }
  }

  #heartbeat(): Uint8Array {
    return heartbeatFrame({ head: this.#storage.head.serial, time: this.#now() })
  }

  /** Digest of the entry before `serial`, which is at most one beyond the head. */
  async #digestBefore(serial: Serial): Promise<Uint8Array> {
    const { head } = this.#storage
    if (serial === 0) return EMPTY_CHAIN.digest
    if (serial > head.serial) return head.digest
    for await (const [entry] of this.#storage.entries.read(serial, nextSerial(serial))) {
      if (entry !== undefined) return readEntry(entry.bytes).parent
    }
    throw new Error(`the log has no entry ${serial}`)
  }

  /** Whether there is an entry after `sent` before the time is over. */
  async #nextCommit(sent: Serial, ms: number, end: AbortSignal): Promise<boolean> {
    const waiting = new AbortController()
    const timer = setTimeout(() => { waiting.abort() }, ms)
    const stop = (): void => { waiting.abort() }
    end.addEventListener('abort', stop)
    if (end.aborted) stop()
    try {
      await this.#storage.reached(nextSerial(sent), waiting.signal)
      return true
    } catch (error) {
      if (waiting.signal.aborted) return false
      throw error
    } finally {
      clearTimeout(timer)
      end.removeEventListener('abort', stop)
    }
  }
}

/** Aborted with the first of two signals. Unlike `AbortSignal.any` it leaves nothing behind at the one that lives longer. */
class EitherSignal implements Disposable {
  readonly #aborter = new AbortController()
  readonly #sources: readonly AbortSignal[]

  constructor(...sources: readonly AbortSignal[]) {
    this.#sources = sources
    for (const source of sources) source.addEventListener('abort', this.#abort)
    if (sources.some(({ aborted }) => aborted)) this.#abort()
  }

  get signal(): AbortSignal {
    return this.#aborter.signal
  }

  [Symbol.dispose](): void {
    for (const source of this.#sources) source.removeEventListener('abort', this.#abort)
  }

  readonly #abort = (): void => {
    this.#aborter.abort()
  }
}
