import type { RequestHandler } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import type { ChainHead } from '#log-format/chain.js'
import type { Relay } from '#server/http/relay.js'
import { type Follower, PARTED_FACT } from '#server/replication/follower.js'
import { missingSecrets, missingSentence } from '#server/replication/missing-secrets.js'
import type { WriteRelay } from '#server/replication/write-relay.js'
import type { Storage } from '#server/storage/storage.js'
import type { Logger } from './logger.js'
import type { Following } from './replica.js'
import { FORMER_URL_FACT, PRIMARY_URL_FACT, type Role, ROLE_FACT } from './role.js'

/** What becomes of a promotion when secrets of the primary have not come. */
export interface PromoteOptions {
  readonly lostSecrets: 'refuse' | 'accept'
}

/** The head with the first entry of the new epoch. */
export interface Promoted extends ChainHead {
  /** Secrets that are not here, in words; undefined when all are. */
  readonly lost: string | undefined
}

/** Changes wait for so long at most until the secrets of a primary come that may be gone. */
const SECRETS_TIMEOUT_MS = 2000

export interface NodeRoleOptions {
  readonly storage: Storage
  readonly decided: { readonly role: Role; readonly primaryUrl?: string }
  /** Begins to follow. */
  readonly follow: (primaryUrl: string) => Following
  readonly relayOver: (relay: WriteRelay) => Relay
  /** Refuses what a primary could not be on this machine. */
  readonly checkPrimary: () => Promise<void>
  readonly now: () => number
  readonly logger: Logger
}

/**
 * Whom the server follows, or that it is a primary, and how one becomes the
 * other while it serves. One change is made at a time; what is to be changed in the
 * meantime waits for it.
 */
export class NodeRole implements AsyncDisposable {
  readonly #options: NodeRoleOptions
  #role: Role
  #primaryUrl: string | undefined
  #following: Following | undefined
  #relay: Relay | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(options: NodeRoleOptions) {
    this.#options = options
    const { role, primaryUrl } = options.decided
    this.#role = role
    if (primaryUrl !== undefined) this.#follow(primaryUrl)
  }

  get role(): Role {
    return this.#role
  }

  /** Undefined where entries are made. */
  get following(): Following | undefined {
    return this.#following
  }

  get follower(): Follower | undefined {
    return this.#following?.follower
  }

  get relay(): Relay | undefined {
    return this.#relay
  }

  /** Where the files are that this server may lack: a promoted one may not have had all of them. */
  get filesUrl(): string | undefined {
    return this.#primaryUrl ?? this.#options.storage.fact(FORMER_URL_FACT)
  }

  get primaryUuid(): string {
    return this.#following === undefined ? this.#options.storage.nodeId : this.#following.follower.primaryUuid
  }

  /** Follows another primary from now on, which must have the history that is here. Refuses `conflict` on a primary. */
  followAt(primaryUrl: string): Promise<void> {
    return this.#change(async () => {
      if (this.#role !== 'replica') throw new Refusal('conflict', `this server is a ${this.#role} and follows nobody; a restart with --role replica makes it follow one that was promoted`)
      if (primaryUrl === this.#primaryUrl) return
      await this.#options.storage.setFact(PRIMARY_URL_FACT, primaryUrl)
      await this.#leave()
      this.#follow(primaryUrl)
    })
  }

  /**
   * Makes a primary of the replica. Resolves to the head with the first entry of its epoch. Refuses `conflict` what is
   * none, and one that lacks secrets of its primary, unless `lostSecrets` are accepted.
   */
  promote(request: string, { lostSecrets }: PromoteOptions): Promise<Promoted> {
    const accept = (lost: string | undefined): string | undefined => {
      if (lost !== undefined && lostSecrets === 'refuse') throw lacksSecrets(lost)
      return lost
    }
    return this.#change(async () => {
      const { storage, checkPrimary, now, logger } = this.#options
      const primaryUrl = this.#primaryUrl
      if (this.#role !== 'replica' || primaryUrl === undefined) throw new Refusal('conflict', `this server is a ${this.#role} already; only a replica can be promoted`)
      await checkPrimary()
      accept(await this.#lostSecrets())
      const former = this.primaryUuid
      const behind = this.follower?.status.lag.serials ?? 0
      await this.#leave()
      try {
        const lost = accept(missingSentence(await missingSecrets(storage))) // of the last entries that came, too
        const head = await storage.promote({ time: now(), actor: '+system', via: 'system', request }, { former, facts: promotedFacts(primaryUrl) })
        this.#role = 'primary'
        this.#primaryUrl = undefined
        logger.warn({ serial: head.serial, epoch: head.epoch, former, behind, ...(lost !== undefined && { lost }) }, 'promoted: this server is the primary from now on')
        return { ...head, lost }
      } catch (error) {
        this.#follow(primaryUrl)
        throw error
      }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#turn
    await this.#leave()
  }

  /** Secrets of the primary that are not here, in words; it is asked for them once more. */
  async #lostSecrets(): Promise<string | undefined> {
    const { storage } = this.#options
    if (missingSentence(await missingSecrets(storage)) === undefined) return undefined
    await this.#following?.vault.hurry(AbortSignal.timeout(SECRETS_TIMEOUT_MS)).catch(() => undefined) // what is missing then is said
    return missingSentence(await missingSecrets(storage))
  }

  #follow(primaryUrl: string): void {
    const { follow, relayOver } = this.#options
    this.#following = follow(primaryUrl)
    this.#primaryUrl = primaryUrl
    this.#relay = relayOver(this.#following.relay)
  }

  async #leave(): Promise<void> {
    const following = this.#following
    this.#following = undefined
    await following?.[Symbol.asyncDispose]()
  }

  /** What is to be passed on meanwhile waits, and is then made here or passed on to whom is followed by then. */
  #change<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(async () => {
      const before = this.#relay
      let end = (): void => undefined
      const changed = new Promise<void>((resolve) => (end = resolve))
      const waiting: RequestHandler = async (req, res, next) => {
        await changed
        if (this.#relay === undefined) next()
        else await this.#relay(req, res, next)
      }
      if (before !== undefined) this.#relay = waiting
      try {
        return await work()
      } finally {
        if (this.#relay === waiting) this.#relay = this.#role === 'replica' ? before : undefined
        end()
      }
    })
    this.#turn = turn.catch(() => undefined)
    return turn
  }
}

export function lacksSecrets(missing: string): Refusal {
  return new Refusal('conflict', `${missing} have not come here from the primary; promote this server while the primary can be reached, or with --accept-lost-secrets, and set them anew then: what was valid before them is valid again`)
}

/** What is noted with the first entry of a primary that was a replica. */
export function promotedFacts(formerUrl: string | undefined): Readonly<Record<string, string>> {
  return { [ROLE_FACT]: 'primary', [PARTED_FACT]: 'no', ...(formerUrl !== undefined && { [FORMER_URL_FACT]: formerUrl }) }
}
