import { hash, parseOptions, verify } from '@node-rs/argon2'
import { createHmac, randomBytes } from 'node:crypto'

import { Refusal } from '#log-format/api/refusal.js'
import { RecentMap } from './recent-map.js'

export interface PasswordCosts {
  readonly memoryKib: number
  readonly iterations: number
  readonly parallelism: number
  /** How many passwords are worked on at once; each takes `memoryKib` of memory and one core. */
  readonly concurrency: number
  /** How many more may wait for their turn. */
  readonly queueLimit?: number
}

export const MAX_PASSWORD_BYTES = 1024

const DEFAULT_QUEUE_LIMIT = 64
const REMEMBERED_SUCCESSES = 4096

/** What a verifier from outside may cost at most: 1 GiB, 64 passes, 64 lanes. */
const MAX_COSTS = { memoryCost: 1 << 20, timeCost: 64, parallelism: 64 }

/**
 * Passwords to verifiers and back: argon2id (RFC 9106) in its PHC string. The
 * empty string is a password like any other.
 *
 * Tools that send a password with every request would cost ten milliseconds
 * each time, so a success is remembered under a keyed digest of verifier and
 * password. The verifier is salted anew with each change of a password, so
 * nothing has to be forgotten by hand.
 */
export class PasswordHasher {
  readonly #costs: PasswordCosts
  readonly #dummy: string
  readonly #cacheKey = randomBytes(32)
  readonly #successes = new RecentMap<true>(REMEMBERED_SUCCESSES)
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(costs: PasswordCosts) {
    this.#costs = costs
    this.#dummy = unmatchableVerifier(costs)
  }

  /**
   * The verifier of a new password. Refuses `invalid` for one that is too long
   * or no well-formed text, and `too-many-requests` when too many wait.
   */
  async hash(password: string): Promise<string> {
    if (!password.isWellFormed()) throw new Refusal('invalid', 'password is not well-formed text')
    if (isTooLong(password)) {
      throw new Refusal('invalid', `password is longer than ${MAX_PASSWORD_BYTES} bytes`)
    }
    const { memoryKib, iterations, parallelism } = this.#costs
    return this.#takeTurn(() => hash(password, { memoryCost: memoryKib, timeCost: iterations, parallelism }))
  }

  /**
   * Whether `password` is the one of `verifier`. No verifier at all costs the
   * same time as one and is never matched, so that timing does not tell which
   * users exist. Refuses `too-many-requests` when too many wait.
   */
  async verify(verifier: string | undefined, password: string): Promise<boolean> {
    if (!password.isWellFormed() || isTooLong(password)) return false
    const digest = this.#digestOf(verifier, password)
    if (this.#successes.get(digest) === true) return true
    const usable = verifier !== undefined && isPasswordVerifier(verifier)
    const against = usable ? verifier : this.#dummy
    const matches = await this.#takeTurn(() => verify(against, password))
    if (!matches || !usable) return false
    this.#successes.set(digest, true)
    return true
  }

  /** Whether the two were found to match lately: the answer of {@link verify} without its cost. */
  remembers(verifier: string, password: string): boolean {
    return password.isWellFormed() && !isTooLong(password) && this.#successes.get(this.#digestOf(verifier, password)) === true
  }

  #digestOf(verifier: string | undefined, password: string): string {
    return createHmac('sha256', this.#cacheKey).update(`${verifier ?? ''}\0${password}`).digest('base64')
  }

  async #takeTurn<T>(work: () => Promise<T>): Promise<T> {
    const { concurrency, queueLimit = DEFAULT_QUEUE_LIMIT } = this.#costs
    if (this.#running >= concurrency) {
      if (this.#waiting.length >= queueLimit) {
        throw new Refusal('too-many-requests', 'too many passwords are being checked, try again in a second', {
          headers: { 'Retry-After': '1' },
        })
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve)) // resolved with a turn handed over
    } else {
      this.#running += 1
    }
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#running -= 1
      else next()
    }
  }
}

/** Verifiers that were looked at lately, and what came of it: each request with a password brings one. */
const lookedAt = new RecentMap<'usable' | 'unusable'>(1024)

/**
 * Whether `text` is an argon2id verifier that this server would check: one
 * brought from elsewhere may have other costs, but not ruinous ones.
 */
export function isPasswordVerifier(text: string): boolean {
  if (text.length > 256 || !text.startsWith('$argon2id$')) return false
  let found = lookedAt.get(text)
  if (found === undefined) {
    found = hasUsableCosts(text) ? 'usable' : 'unusable'
    lookedAt.set(text, found)
  }
  return found === 'usable'
}

function hasUsableCosts(verifier: string): boolean {
  try {
    const costs = parseOptions(verifier)
    return (
      costs.memoryCost <= MAX_COSTS.memoryCost &&
      costs.timeCost <= MAX_COSTS.timeCost &&
      costs.parallelism <= MAX_COSTS.parallelism &&
      costs.outputLen >= 16
    )
  } catch {
    return false // the library has no other way to say that the text is malformed
  }
}

function isTooLong(password: string): boolean {
  return Buffer.byteLength(password) > MAX_PASSWORD_BYTES
}

/** Random bytes in place of a hash: as slow to check as a real verifier, and nobody's. */
function unmatchableVerifier({ memoryKib, iterations, parallelism }: PasswordCosts): string {
  const [salt, digest] = [16, 32].map((length) => randomBytes(length).toString('base64').replaceAll('=', ''))
  return `$argon2id$v=19$m=${memoryKib},t=${iterations},p=${parallelism}$${salt}$${digest}`
}
