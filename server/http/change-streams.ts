import { setMaxListeners } from 'node:events'
import { Refusal } from '#log-format/api/refusal.js'

/** Connections that may be open at a time; strangers leave half of them to who is logged in. */
const MOST_STREAMS = 256
const MOST_ANONYMOUS = MOST_STREAMS / 2
/** Proxies give up on connections that are silent for a minute. */
const HEARTBEAT_MS = 15_000

/** A place among the open streams, to be given back. */
export interface StreamPlace extends Disposable {
  /** Aborted when the server stops. */
  readonly stopping: AbortSignal
}

/** The streams of changes that are open. Disposing it ends them, and resolves when the last one is gone. */
export class ChangeStreams implements AsyncDisposable {
  readonly heartbeatMs: number
  readonly #stopping = new AbortController()
  #open = 0
  #anonymous = 0
  #whenEmpty: (() => void) | undefined

  constructor({ heartbeatMs = HEARTBEAT_MS }: { readonly heartbeatMs?: number } = {}) {
    this.heartbeatMs = heartbeatMs
    setMaxListeners(0, this.#stopping.signal) // every stream listens
  }

  get open(): number {
    return this.#open
  }

  get isStopping(): boolean {
    return this.#stopping.signal.aborted
  }

  /** Refuses `not-available` when there are too many, or the server stops. */
  enter({ anonymous }: { readonly anonymous: boolean }): StreamPlace {
    if (this.isStopping) throw new Refusal('not-available', 'the server is shutting down')
    if (this.#open >= MOST_STREAMS || (anonymous && this.#anonymous >= MOST_ANONYMOUS)) {
      throw new Refusal('not-available', 'too many streams of changes are open; try again later', { headers: { 'Retry-After': '30' } })
    }
    this.#open += 1
    if (anonymous) this.#anonymous += 1
    return { stopping: this.#stopping.signal, [Symbol.dispose]: () => this.#leave(anonymous) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    if (this.#open > 0) await new Promise<void>((resolve) => (this.#whenEmpty = resolve))
  }

  #leave(anonymous: boolean): void {
    this.#open -= 1
    if (anonymous) this.#anonymous -= 1
    if (this.#open === 0) this.#whenEmpty?.()
  }
}
