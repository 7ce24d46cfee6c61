import { setTimeout as wait } from 'node:timers/promises'

/** However little is known to be due, it is looked again by then. */
export const LONGEST_REST_MS = 60_000

/** When what failed is to be tried again: a rest until then, cut short when something earlier turns up meanwhile. */
export class NextTry {
  readonly #now: () => number
  /** ms since the epoch. */
  #due = Infinity
  #wake = (): void => undefined

  constructor(now: () => number) {
    this.#now = now
  }

  /** Before everything that is due is told anew. */
  forget(): void {
    this.#due = this.#now() + LONGEST_REST_MS
  }

  /** Something is due then, in ms since the epoch. */
  by(due: number): void {
    if (due >= this.#due) return
    this.#due = due
    this.#wake()
  }

  /** Rests until something is due, but not less than `leastMs` unless something new is due earlier. */
  async rest(leastMs: number, signal: AbortSignal): Promise<void> {
    const early = new AbortController()
    this.#wake = () => { early.abort() }
    const restMs = Math.min(Math.max(this.#due - this.#now(), leastMs), LONGEST_REST_MS)
    await wait(restMs, undefined, { signal: AbortSignal.any([early.signal, signal]) }).catch(() => undefined)
  }
}
