import { createHmac, randomBytes } from 'node:crypto'

import { Refusal } from '#log-format/api/refusal.js'
import { isKeySegment, TOKEN_USER } from '#log-format/names.js'
import type { JsonValue } from '#log-format/values.js'
import { findApiToken, looksLikeApiToken, type TokenStore } from './api-tokens.js'
import { ANONYMOUS, type Caller } from './caller.js'
import { parseCredentials, type RequestHeaders } from './credentials.js'
import type { LoginThrottle } from './login-throttle.js'
import type { PasswordHasher } from './passwords.js'
import { RecentMap } from './recent-map.js'
import { issueToken, looksLikeToken, readToken, TOKEN_LIFETIME_SECONDS } from './tokens.js'
import { parseUserSecret, type UserSecret } from './user-secret.js'

export interface AuthenticatorOptions {
  /** The vault's value of a user. */
  readonly secretOf: (user: string) => JsonValue | undefined
  readonly apiTokens: TokenStore
  /** Signs login tokens; see `secret-file.ts`. */
  readonly secret: Buffer
  readonly hasher: PasswordHasher
  readonly throttle: LoginThrottle
  /** ms since the epoch. */
  readonly now: () => number
}

/**
 * Who a request comes from. Credentials that are not accepted make the caller
 * anonymous; `status` tells, for `+api`, whether they were wrong or too old.
 */
export interface Identity {
  readonly caller: Caller
  readonly status: 'ok' | 'noauth' | 'expired'
}

/** What a login answers, as `proxyauth` has it. */
export interface Login {
  readonly token: string
  readonly expirationSeconds: number
}

const NOBODY: Identity = { caller: ANONYMOUS, status: 'noauth' }
const REMEMBERED_REJECTIONS = 4096
const MAX_USER_LENGTH = 255

/** Names credentials to who they belong to, and gives out tokens. */
export class Authenticator {
  readonly #options: AuthenticatorOptions
  readonly #guessKey = randomBytes(32)
  readonly #checks = new Map<string, Promise<boolean>>()
  readonly #rejected = new RecentMap<true>(REMEMBERED_REJECTIONS)

  constructor(options: AuthenticatorOptions) {
    this.#options = options
  }

  /**
   * Who sends these headers from `address`. A token or a password may stand in
   * either header (`spec/server-http.md` 3.1); a token may also come alone, as
   * bearer or with the name `__token__`. Wrong credentials never fail a
   * request by themselves, as much is public; only who guesses is refused,
   * `too-many-requests`.
   */
  async identify(headers: RequestHeaders, address: string): Promise<Identity> {
    const credentials = parseCredentials(headers)
    if (credentials === undefined || credentials === 'malformed') return NOBODY
    const { secret } = credentials
    const user = credentials.user === TOKEN_USER ? undefined : credentials.user
    if (looksLikeApiToken(secret)) return this.#identifyApiToken(user, secret, address)
    if (looksLikeToken(secret)) return this.#identifyToken(user, secret)
    if (credentials.user === TOKEN_USER) return rejected('this is no API token of this server, or only a part of one')
    if (user === undefined) return NOBODY // a bearer token of another system
    if ((await this.#checkPassword(user, secret, address)) === undefined) return NOBODY
    return { caller: { user, via: 'basic' }, status: 'ok' }
  }

  /**
   * A token for a user who shows the password; a token is no password here.
   * Refuses `unauthenticated` for a wrong one, in the same words and time for
   * a user who does not exist, and `too-many-requests`.
   */
  async login(user: string, password: string, address: string): Promise<Login> {
    if (looksLikeApiToken(password)) {
      // Its limits would be lost in the exchange.
      throw new Refusal('unauthenticated', 'an API token is not for logging in: send it with each request')
    }
    const matched = await this.#checkPassword(user, password, address)
    if (matched === undefined) throw new Refusal('unauthenticated', `user '${user}' could not be authenticated`)
    return this.#issue(user, matched) // for the password that was shown, even if it was changed meanwhile
  }

  /** A token for a user who was identified, as after a change of password. Undefined for one without password. */
  tokenFor(user: string): Login | undefined {
    const current = this.#secretOf(user)
    return current === undefined ? undefined : this.#issue(user, current)
  }

  #issue(user: string, { id }: UserSecret): Login {
    const token = issueToken(this.#options.secret, { user, credential: id }, this.#options.now())
    return { token, expirationSeconds: TOKEN_LIFETIME_SECONDS }
  }

  /** `user`: whose it has to be, undefined when only the token says so. */
  async #identifyApiToken(user: string | undefined, token: string, address: string): Promise<Identity> {
    const { apiTokens, now } = this.#options
    const found = await findApiToken(apiTokens, token, now())
    if (found === undefined) {
      this.#countUnknownToken(token, address)
      return rejected('this API token is not known here, or was revoked')
    }
    if (user !== undefined && user !== found.user) return rejected('this API token belongs to another user')
    const { value, isExpired } = found
    if (isExpired) return { ...rejected('this API token has expired'), status: 'expired' }
    const { actions, indexes } = value
    return { caller: { user: found.user, via: 'token', scope: { actions, indexes } }, status: 'ok' }
  }

  /** Sent again and again, as by a build machine that nobody told, it is one failure. */
  #countUnknownToken(token: string, address: string): void {
    const digest = this.#digestOf(['token', token, address])
    if (this.#rejected.get(digest) === true) return
    this.#options.throttle.countToken(address)
    this.#rejected.set(digest, true)
  }

  #identifyToken(claimed: string | undefined, token: string): Identity {
    const subject = readToken(this.#options.secret, token, this.#options.now())
    if (subject === 'expired') return { caller: ANONYMOUS, status: 'expired' }
    if (subject === undefined || (claimed !== undefined && subject.user !== claimed)) return NOBODY
    const { user } = subject
    // The password it was given for may have been changed since, or gone with its user.
    if (subject.credential !== this.#secretOf(user)?.id) return { caller: ANONYMOUS, status: 'expired' }
    return { caller: { user, via: 'token' }, status: 'ok' }
  }

  /** The secret that `password` matches. */
  async #checkPassword(user: string, password: string, address: string): Promise<UserSecret | undefined> {
    // Nobody has such a name, and the throttle would have to remember it.
    if (!isKeySegment(user) || user.length > MAX_USER_LENGTH) return undefined
    const current = this.#secretOf(user)
    const matches = await this.#shareCheck({ user, verifier: current?.verifier, password, address })
    return matches ? current : undefined
  }

  /**
   * Requests that show the same credentials at the same time share one check,
   * as an installer opens dozens at once.
   */
  async #shareCheck(guess: Guess): Promise<boolean> {
    const { user, verifier = null, password, address } = guess
    const { hasher, throttle } = this.#options
    if (verifier !== null && hasher.remembers(verifier, password)) {
      throttle.admit(user, address).succeeded()
      return true
    }
    const digest = this.#digestOf([user, verifier, password, address])
    const running = this.#checks.get(digest)
    if (running !== undefined) return running

    const check = this.#throttledCheck(guess, digest).finally(() => {
      this.#checks.delete(digest)
    })
    this.#checks.set(digest, check)
    return check
  }

  /**
   * A guess that was wrong before is wrong at once and does not count again:
   * a build machine with an old password is no attacker, and learns nothing.
   */
  async #throttledCheck(guess: Guess, digest: string): Promise<boolean> {
    const attempt = this.#options.throttle.admit(guess.user, guess.address)
    if (this.#rejected.get(digest) === true) {
      attempt.withdrawn()
      return false
    }
    let matches: boolean
    try {
      matches = await this.#options.hasher.verify(guess.verifier, guess.password)
    } catch (error) {
      attempt.withdrawn()
      throw error
    }
    if (matches) attempt.succeeded()
    else this.#rejected.set(digest, true)
    return matches
  }

  #digestOf(guess: readonly (string | null)[]): string {
    return createHmac('sha256', this.#guessKey).update(JSON.stringify(guess)).digest('base64')
  }

  #secretOf(user: string): UserSecret | undefined {
    return parseUserSecret(this.#options.secretOf(user))
  }
}

/** Nobody, and why. */
function rejected(why: string): Identity {
  return { caller: { ...ANONYMOUS, rejected: why }, status: 'noauth' }
}

/** Remembered by a keyed digest only: no password stays in memory. */
interface Guess {
  readonly user: string
  readonly verifier: string | undefined
  readonly password: string
  readonly address: string
}
