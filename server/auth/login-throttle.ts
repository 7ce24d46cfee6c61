import { ipKeyGenerator } from 'express-rate-limit'

import { Refusal } from '#log-format/api/refusal.js'
import { RecentMap } from './recent-map.js'

/** After `free` failures each further one doubles the wait for the next attempt, from a second to `maxWaitSeconds`. */
interface Limit {
  readonly free: number
  readonly maxWaitSeconds: number
}

/** One person's typing errors. */
const BY_PAIR: Limit = { free: 5, maxWaitSeconds: 15 * 60 }
/** Many people may share an address; one machine that tries many users has one. */
const BY_ADDRESS: Limit = { free: 50, maxWaitSeconds: 60 }
/** Guesses at one user from everywhere: slowed, but never so far that the user is shut out. */
const BY_USER: Limit = { free: 100, maxWaitSeconds: 5 }

/** Failures are forgotten when none was added for so long. */
const MEMORY_MS = 60 * 60 * 1000

/** How many users, addresses or pairs are remembered. */
const DEFAULT_CAPACITY = 10_000

interface FailureRecord {
  failures: number
  blockedUntilMs: number
  lastMs: number
}

/** One password that is about to be checked. It counts as a failure until said otherwise; say it at most once. */
export interface Attempt {
  /** The password was right. */
  succeeded(): void
  /** The password was not checked, or the very same guess had been counted before. */
  withdrawn(): void
}

/**
 * Slows down who guesses passwords, by user, by address, and by both. An
 * attempt is counted before its password is checked, so a thousand sent at
 * once are not a thousand free guesses. Memory is bounded; nothing is stored.
 *
 * A user under attack still gets in: the limit by user waits seconds only,
 * and not at all for an address the user has come from before.
 */
export class LoginThrottle {
  readonly #now: () => number
  readonly #pairs: FailureCounts
  readonly #addresses: FailureCounts
  readonly #users: FailureCounts
  readonly #familiarPairs: RecentMap<true>

  constructor({ now, capacity = DEFAULT_CAPACITY }: { now: () => number; capacity?: number }) {
    this.#now = now
    this.#pairs = new FailureCounts(BY_PAIR, capacity)
    this.#addresses = new FailureCounts(BY_ADDRESS, capacity)
    this.#users = new FailureCounts(BY_USER, capacity)
    this.#familiarPairs = new RecentMap(capacity)
  }

  /** Lets one attempt through, or refuses `too-many-requests` with the seconds to wait as `Retry-After`. */
  admit(user: string, address: string): Attempt {
    const nowMs = this.#now()
    const network = ipKeyGenerator(address) // one customer of a provider has a whole IPv6 network to guess from
    const pair = `${network} ${user}`
    const isFamiliar = this.#familiarPairs.get(pair) === true

    const waitMs = Math.max(
      this.#pairs.waitMs(pair, nowMs),
      this.#addresses.waitMs(network, nowMs),
      isFamiliar ? 0 : this.#users.waitMs(user, nowMs),
    )
    if (waitMs > 0) throw tooManyFailures(Math.ceil(waitMs / 1000))

    this.#pairs.add(pair, nowMs)
    this.#addresses.add(network, nowMs)
    if (!isFamiliar) this.#users.add(user, nowMs)

    const withdrawn = (): void => {
      this.#pairs.takeBack(pair)
      this.#addresses.takeBack(network)
      if (!isFamiliar) this.#users.takeBack(user)
    }
    const succeeded = (): void => {
      withdrawn()
      this.#pairs.forget(pair)
      this.#familiarPairs.set(pair, true)
    }
    return { succeeded, withdrawn }
  }

  /**
   * Counts a token that is not known here. It names nobody, and is too long to
   * be guessed, so only who sends many different ones from an address is
   * refused, as in `admit`; tokens that are good need not come this way.
   */
  countToken(address: string): void {
    const nowMs = this.#now()
    const network = ipKeyGenerator(address)
    const waitMs = this.#addresses.waitMs(network, nowMs)
    if (waitMs > 0) throw tooManyFailures(Math.ceil(waitMs / 1000))
    this.#addresses.add(network, nowMs)
  }
}

function tooManyFailures(waitSeconds: number): Refusal {
  const unit = waitSeconds === 1 ? 'second' : 'seconds'
  return new Refusal('too-many-requests', `too many failed logins, try again in ${waitSeconds} ${unit}`, {
    headers: { 'Retry-After': String(waitSeconds) },
  })
}

class FailureCounts {
  readonly #limit: Limit
  readonly #records: RecentMap<FailureRecord>

  constructor(limit: Limit, capacity: number) {
    this.#limit = limit
    this.#records = new RecentMap(capacity)
  }

  waitMs(key: string, nowMs: number): number {
    return Math.max(0, (this.#records.get(key)?.blockedUntilMs ?? 0) - nowMs)
  }

  add(key: string, nowMs: number): void {
    const known = this.#records.get(key)
    const isForgotten = known === undefined || nowMs - known.lastMs > MEMORY_MS
    const record = isForgotten ? { failures: 0, blockedUntilMs: 0, lastMs: nowMs } : known
    record.failures += 1
    record.lastMs = nowMs
    const excess = record.failures - this.#limit.free
    if (excess > 0) {
      record.blockedUntilMs = nowMs + 1000 * Math.min(this.#limit.maxWaitSeconds, 2 ** (excess - 1))
    }
    this.#records.set(key, record)
  }

  /** An attempt was only admitted because no wait was running, so none is running without it. */
  takeBack(key: string): void {
    const record = this.#records.get(key)
    if (record === undefined) return
    record.failures = Math.max(0, record.failures - 1)
    record.blockedUntilMs = 0
  }

  forget(key: string): void {
    this.#records.delete(key)
  }
}
