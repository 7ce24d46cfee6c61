import { performance, type EventLoopUtilization } from 'node:perf_hooks'
import { setTimeout as rest } from 'node:timers/promises'

/** Between the beginnings of two uploads while pages keep the server busy. */
const APART_MS = 50
/** So long an upload waits at the most: who sends many at once is not made to wait for all of them. */
const LONGEST_WAIT_MS = 2000
/** How long the server is looked at before the verdict is a new one. */
const WINDOW_MS = 100
/** What it did in a longer time without uploads says nothing of how busy it is now. */
const LONGEST_WINDOW_MS = 1000
/**
 * Share of the time in which the main thread has something to do, from which on it counts as busy. One that sends
 * all the pages it can has 0.7 to 0.9 where its clients run on the same cores, as they have to wait for each other.
 */
const BUSY = 0.6
/** Fewer pages are not what keeps it busy. */
const PAGES_PER_UPLOAD = 10

export interface UploadTurnsOptions {
  /** Pages sent since the start. */
  readonly pages: () => number
  /** Ascending ms. */
  readonly now?: () => number
  /** As `performance.eventLoopUtilization` has it. */
  readonly utilization?: (before?: EventLoopUtilization) => EventLoopUtilization
  readonly wait?: (ms: number) => Promise<void>
}

/**
 * Who installs goes first. An upload takes the time of some fifty pages, and
 * a client that sends one after the other would take half of the server from
 * those who wait for theirs. So while pages keep the server busy, uploads begin
 * one by one, a while apart; at any other time at once.
 */
export class UploadTurns {
  readonly counts = { heldBack: 0 }
  readonly #pages: () => number
  readonly #now: () => number
  readonly #utilization: NonNullable<UploadTurnsOptions['utilization']>
  readonly #wait: NonNullable<UploadTurnsOptions['wait']>
  #window: { readonly since: number; readonly pages: number; readonly utilization: EventLoopUtilization; uploads: number }
  #pagesNeedIt = false
  /** When the next upload may begin. */
  #nextAt = -Infinity

  constructor({ pages, now, utilization, wait }: UploadTurnsOptions) {
    this.#pages = pages
    this.#now = now ?? (() => performance.now())
    this.#utilization = utilization ?? ((before) => performance.eventLoopUtilization(before))
    this.#wait = wait ?? rest
    this.#window = this.#newWindow()
  }

  /** Resolves when the upload that asks may begin. */
  async take(): Promise<void> {
    const now = this.#now()
    this.#look(now)
    if (!this.#pagesNeedIt) return
    const at = Math.min(Math.max(now, this.#nextAt), now + LONGEST_WAIT_MS)
    this.#nextAt = at + APART_MS
    if (at <= now) return
    this.counts.heldBack += 1
    await this.#wait(at - now)
  }

  #look(now: number): void {
    const window = this.#window
    window.uploads += 1
    const ms = now - window.since
    if (ms < WINDOW_MS) return
    const pages = this.#pages() - window.pages
    this.#pagesNeedIt = ms <= LONGEST_WINDOW_MS && pages >= PAGES_PER_UPLOAD * window.uploads && this.#utilization(window.utilization).utilization >= BUSY
    this.#window = this.#newWindow()
  }

  #newWindow() {
    return { since: this.#now(), pages: this.#pages(), utilization: this.#utilization(), uploads: 0 }
  }
}
