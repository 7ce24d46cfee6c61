import { Refusal } from '#log-format/api/refusal.js'

interface Outage {
  /** Addresses that were not answered since anything was. */
  readonly unanswered: ReadonlySet<string>
  readonly failures: number
  readonly until: number
}

const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 30_000
const MOST_SERVERS = 1000
/** One address may be slow, and the others answer. */
const MOST_UNANSWERED = 3

/** Which servers are not worth asking just now: each failure doubles the pause, an answer ends it. */
export class UpstreamBreaker {
  readonly #now: () => number
  readonly #outages = new Map<string, Outage>()

  constructor(now: () => number) {
    this.#now = now
  }

  /** Refuses `upstream-failed` a server during its pause. */
  check({ origin, host }: URL): void {
    const outage = this.#outages.get(origin)
    if (outage === undefined || outage.until <= this.#now()) return
    const seconds = Math.ceil((outage.until - this.#now()) / 1000)
    throw new Refusal('upstream-failed', `${host} did not answer lately; it is asked again in ${seconds} s`)
  }

  /** The server could not be reached. */
  failed({ origin }: URL): void {
    const failures = (this.#outages.get(origin)?.failures ?? 0) + 1
    this.#pause(origin, failures, FIRST_PAUSE_MS * 2 ** Math.min(failures - 1, 10))
  }

  /** The server was reached and did not answer: it counts as away when that is so of several addresses and of none in between. */
  unanswered(url: URL): void {
    const outage = this.#outages.get(url.origin)
    const unanswered = new Set([...(outage?.unanswered ?? []), url.pathname])
    if (unanswered.size >= MOST_UNANSWERED) this.failed(url)
    else this.#note(url.origin, { failures: outage?.failures ?? 0, until: outage?.until ?? 0, unanswered })
  }

  /** The server answered; `retryAfter` is its header, in seconds where it counts. */
  answered({ origin }: URL, status: number, retryAfter: string | undefined): void {
    const seconds = retryAfter !== undefined && /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) : 0
    if ((status === 429 || status === 503) && seconds > 0) this.#pause(origin, 1, seconds * 1000)
    else this.#outages.delete(origin)
  }

  #pause(origin: string, failures: number, pauseMs: number): void {
    const unanswered = this.#outages.get(origin)?.unanswered ?? new Set()
    this.#note(origin, { failures, until: this.#now() + Math.min(pauseMs, LONGEST_PAUSE_MS), unanswered })
  }

  #note(origin: string, outage: Outage): void {
    if (this.#outages.size >= MOST_SERVERS) this.#outages.clear() // they are asked again, no harm done
    this.#outages.set(origin, outage)
  }
}
