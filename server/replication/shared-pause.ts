import { setTimeout as wait } from 'node:timers/promises'

export interface BackOff {
  /** The first delay, in ms; each is twice as long as the one before. */
  readonly firstMs: number
  readonly longestMs: number
}

/** The delay after so many failures, up to a quarter shorter or longer: those that failed together do not come back together. */
export function delayMs({ firstMs, longestMs }: BackOff, failures: number, random: () => number): number {
  const delay = Math.min(longestMs, firstMs * 2 ** Math.min(failures - 1, 30))
  return delay * (0.75 + random() / 2)
}

/** A pause that all take part in: what keeps one from working keeps all. */
export class SharedPause {
  readonly #backOff: BackOff
  readonly #random: () => number
  readonly #signal: AbortSignal
  #failures = 0
  #running: { readonly over: Promise<void>; readonly reason: string } | undefined

  constructor(input: { readonly backOff: BackOff; readonly random: () => number; readonly signal: AbortSignal }) {
    this.#backOff = input.backOff
    this.#random = input.random
    this.#signal = input.signal
  }

  /** Why there is a pause; undefined when there is none. */
  get reason(): string | undefined {
    return this.#running?.reason
  }

  /** Resolves when there is no pause. */
  async over(): Promise<void> {
    while (this.#running !== undefined) await this.#running.over
  }

  /** Resolves when the pause is over that begins now, or began before. */
  take(reason: string): Promise<void> {
    if (this.#running === undefined) {
      this.#failures += 1
      const over = wait(delayMs(this.#backOff, this.#failures, this.#random), undefined, { signal: this.#signal })
        .catch(() => undefined) // everything ends then
        .then(() => { this.#running = undefined })
      this.#running = { over, reason }
    }
    return this.#running.over
  }

  /** Something worked: the next pause is short again. */
  worked(): void {
    this.#failures = 0
  }
}
