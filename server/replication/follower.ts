import type { IncomingMessage } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { digestHex } from '#log-format/chain.js'
import { ChainError } from '#log-format/errors.js'
import { CHANGELOG_TYPE, FrameReader } from '#log-format/framing.js'
import { nextSerial, parseSerial, type Serial } from '#log-format/serial.js'
import type { NodeTokens } from '#server/auth/node-token.js'
import { PRIMARY_UUID_FACT } from '#server/storage/rows.js'
import { prevails } from '#server/storage/epoch-start.js'
import type { Storage } from '#server/storage/storage.js'
import { claimIn, epochClaim, epochIn } from './epoch-claim.js'
import { ImportQueue } from './import-queue.js'
import { PrimaryProgress } from './primary-progress.js'
import { PrimaryConnection, refusalIn } from './primary-request.js'
import { Silence } from './silence.js'

export interface FollowerOptions {
  readonly storage: Storage
  /** Address of the primary, without a slash at its end. */
  readonly primaryUrl: string
  readonly tokens: NodeTokens
  /** Where the clients of this node find it. */
  readonly outsideUrl?: string | undefined
  /** ms since the epoch. */
  readonly now: () => number
  readonly report: (event: FollowerEvent) => void
  readonly times?: Partial<FollowerTimes>
}

export interface FollowerTimes {
  /** A primary that answers nothing, or sends nothing, for so long is not there. */
  readonly silenceMs: number
  /** Before the second attempt; it doubles from one to the next. */
  readonly firstPauseMs: number
  readonly longestPauseMs: number
}

/** For the log file. */
export type FollowerEvent =
  | { readonly kind: 'following'; readonly from: Serial; readonly primaryUuid: string }
  | { readonly kind: 'failed'; readonly error: unknown; readonly retryMs: number }
  | { readonly kind: 'stopped'; readonly error: Error }

/** What a follower knows; times in ms since the epoch, undefined for what never was. */
export interface FollowerStatus {
  readonly primaryUrl: string
  /** Empty before the first contact. */
  readonly primaryUuid: string
  readonly state: 'connecting' | 'following' | 'stopped'
  /** Why it does not follow. */
  readonly problem: string | undefined
  /** Newest entry of the primary, as far as it said. */
  readonly primarySerial: Serial
  readonly primarySerialMs: number | undefined
  readonly startedMs: number
  /** Last request, and last sign of life. */
  readonly contactedMs: number | undefined
  readonly updatedMs: number | undefined
  /** When this node last had all that the primary had. */
  readonly inSyncMs: number | undefined
  readonly lag: { readonly serials: number; readonly seconds: number }
}

const TIMES: FollowerTimes = { silenceMs: 25_000, firstPauseMs: 100, longestPauseMs: 15_000 }

/** Name of the fact, `yes` or `no`, that the log here has entries that a promoted primary has not. */
export const PARTED_FACT = 'parted'

/** A reason that no further attempt can change. */
class NotFollowable extends Error {
  override readonly name = 'NotFollowable'
}

/**
 * Keeps the storage of a replica in step with its primary, from when it is
 * made until it is disposed. Failures are retried, after pauses that grow and
 * are never the same for two replicas; an entry that is damaged each time it is asked for, another
 * history or another primary end it, as nothing that it could do would help.
 */
export class Follower implements AsyncDisposable {
  readonly #options: FollowerOptions
  readonly #times: FollowerTimes
  readonly #connection: PrimaryConnection
  readonly #stop = new AbortController()
  readonly #done: Promise<void>
  readonly #progress: PrimaryProgress
  #primaryUuid: string
  /** Of which it is the primary. */
  #epoch: number
  #state: FollowerStatus['state'] = 'connecting'
  #problem: string | undefined
  /** What was wrong with the newest entry that did not continue the log. */
  #doubt: string | undefined

  constructor(options: FollowerOptions) {
    this.#options = options
    this.#times = { ...TIMES, ...options.times }
    const { primaryUrl, storage, tokens, now } = options
    this.#progress = new PrimaryProgress(() => storage.head.serial, now)
    this.#primaryUuid = storage.fact(PRIMARY_UUID_FACT) ?? ''
    this.#epoch = storage.head.epoch
    this.#connection = new PrimaryConnection({ url: primaryUrl, node: storage.nodeId, tokens, replyTimeoutMs: this.#times.silenceMs })
    this.#done = this.#run()
  }

  /** Empty before the first contact. */
  get primaryUuid(): string {
    const { storage } = this.#options
    if (storage.head.epoch !== this.#epoch) {
      this.#epoch = storage.head.epoch
      this.#primaryUuid = storage.fact(PRIMARY_UUID_FACT) ?? ''
    }
    return this.#primaryUuid
  }

  get status(): FollowerStatus {
    const { serial, serialMs, startedMs, contactedMs, updatedMs, inSyncMs } = this.#progress
    return {
      primaryUrl: this.#options.primaryUrl,
      primaryUuid: this.primaryUuid,
      state: this.#state,
      problem: this.#problem,
      primarySerial: serial,
      primarySerialMs: serialMs,
      startedMs,
      contactedMs,
      updatedMs,
      inSyncMs,
      lag: this.#progress.lag(this.#state === 'following'),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#done
    this.#connection[Symbol.dispose]()
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    let failures = 0
    while (!signal.aborted) {
      try {
        const begun = performance.now()
        if (await this.#follow()) failures = 0
        else throw new Error('its reply ended before it said anything')
        await this.#rest(this.#times.firstPauseMs - (performance.now() - begun)) // one that cuts off every reply is not asked all the time
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof NotFollowable || (error instanceof ChainError && this.#isCertain(error))) {
          this.#stopFor(error)
          return
        }
        failures = this.#state === 'following' ? 1 : failures + 1
        this.#state = 'connecting'
        this.#problem = sentenceOf(error)
        const retryMs = this.#pauseMs(failures)
        this.#options.report({ kind: 'failed', error, retryMs })
        await this.#rest(retryMs)
      }
    }
  }

  async #rest(ms: number): Promise<void> {
    if (ms > 0) await wait(ms, undefined, { signal: this.#stop.signal, ref: false }).catch(() => undefined)
  }

  /**
   * Whether an entry is wrong where it is stored, not only as it came: it is then the
   * same when it is asked for anew. One with another serial than was asked for comes of a stream in which something is twice, or missing.
   */
  #isCertain({ serial, message }: ChainError): boolean {
    const isSame = message === this.#doubt
    this.#doubt = message
    return isSame && serial === nextSerial(this.#options.storage.head.serial)
  }

  #stopFor(error: Error): void {
    this.#state = 'stopped'
    this.#problem = sentenceOf(error)
    this.#options.report({ kind: 'stopped', error })
  }

  /** Half to all of a time that doubles: replicas that lost their primary together do not come back together. */
  #pauseMs(failures: number): number {
    const { firstPauseMs, longestPauseMs } = this.#times
    return Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(failures - 1, 20)) * (0.5 + Math.random() / 2)
  }

  /** Follows for as long as one stream lasts; resolves to whether anything came. */
  async #follow(): Promise<boolean> {
    const { storage, outsideUrl } = this.#options
    const { signal } = this.#stop
    if (!storage.isWritable) await storage.importAnew()
    const { serial, digest } = storage.head
    this.#progress.asked()
    const reply = await this.#connection.get(
      `/+changelog/${nextSerial(serial)}-`,
      {
        Accept: `${CHANGELOG_TYPE}, application/json`,
        'X-DEVPI-PARENT': digestHex(digest),
        'X-DEVPI-EXPECTED-PRIMARY-ID': this.primaryUuid,
        ...epochClaim(storage),
        ...(outsideUrl !== undefined && { 'X-DEVPI-REPLICA-OUTSIDE-URL': outsideUrl }),
      },
      signal,
    )
    const silence = new Silence(this.#times.silenceMs, reply)
    try {
      if (reply.statusCode !== 200) await this.#explain(reply)
      await this.#meet(reply)
      return await this.#take(reply, silence)
    } finally {
      silence.end()
      if (!reply.readableEnded) reply.destroy() // also one that is here and nobody read: it would keep the connection
    }
  }

  /** Throws why the primary sends nothing. */
  async #explain(reply: IncomingMessage): Promise<never> {
    const { storage } = this.#options
    const { serial, digest } = storage.head
    const claim = claimIn(reply.headers)
    const theirs = headerOf(reply, 'x-devpi-parent')
    const refusal = await refusalIn(reply)
    if (claim !== undefined && prevails(storage.reign, claim)) throw refusal // it has to come over to the promoted one itself, and may do so
    if (claim !== undefined && prevails(claim, storage.reign) && (reply.statusCode === 404 || reply.statusCode === 409)) {
      await storage.setFact(PARTED_FACT, 'yes')
      throw new NotFollowable(`the primary was promoted without the newest entries that are here, up to serial ${serial}; a restart puts them aside and follows`)
    }
    if (reply.statusCode === 409 && theirs !== undefined && /^[0-9a-f]{64}$/.test(theirs)) {
      throw new NotFollowable(`the primary has another history: at serial ${serial} its digest is ${theirs}, here it is ${digestHex(digest)}`)
    }
    const answers = headerOf(reply, 'x-devpi-primary-uuid') ?? ''
    // Any proxy in between may find fault with a request, and that passes.
    if (reply.statusCode === 400 && this.primaryUuid !== '' && isUuid(answers) && answers !== this.primaryUuid) throw new NotFollowable(refusal.message)
    throw refusal
  }

  /** Looks at who answered, and keeps it in mind the first time. */
  async #meet(reply: IncomingMessage): Promise<void> {
    const { storage, report } = this.#options
    const primaryUuid = headerOf(reply, 'x-devpi-primary-uuid') ?? ''
    const isFeed = reply.headers['content-type'] === CHANGELOG_TYPE
    if (!isFeed || (primaryUuid !== '' && !isUuid(primaryUuid))) throw new Error('what answers is no server of this kind')
    if (headerOf(reply, 'x-devpi-uuid') === storage.nodeId) throw new NotFollowable('the primary has the uuid of this server: it is the same one, or a copy')
    if (primaryUuid === '') throw new Error('it is a replica that has not reached its own primary yet')
    if (this.primaryUuid === '') {
      await storage.setFact(PRIMARY_UUID_FACT, primaryUuid)
      this.#primaryUuid = primaryUuid
    }
    // One that was promoted says so in the log; that it continues the one here has been looked at before it sent anything.
    const isPromoted = (epochIn(reply.headers) ?? 0) > storage.head.epoch
    if (primaryUuid !== this.primaryUuid && !isPromoted) throw new NotFollowable(`what answers follows primary ${primaryUuid}, not ${this.primaryUuid}`)
    this.#progress.begins(parseSerial(headerOf(reply, 'x-devpi-serial') ?? '') ?? storage.head.serial)
    if (this.#state !== 'following') report({ kind: 'following', from: nextSerial(storage.head.serial), primaryUuid })
    this.#state = 'following'
    this.#problem = undefined
  }

  async #take(reply: IncomingMessage, silence: Silence): Promise<boolean> {
    const { storage } = this.#options
    const reader = new FrameReader()
    const queue = new ImportQueue(storage, {
      onImported: () => { this.#progress.heard(storage.head.serial) },
      onFailed: () => { reply.destroy() }, // it may send nothing for long, and would be waited for
    })
    let pieces = 0
    try {
      for await (const piece of reply as AsyncIterable<Buffer>) {
        pieces += 1
        silence.end() // it is this side that keeps the other one waiting
        const frames = reader.push(piece)
        this.#progress.lives()
        if (reader.heartbeat !== undefined) this.#progress.heard(reader.heartbeat.head)
        await queue.add(frames)
        silence.begin()
      }
      if (reader.pending > 0) throw new Error('its reply was cut off within an entry')
    } finally {
      await queue.settle()
    }
    return pieces > 0
  }
}

function headerOf(reply: IncomingMessage, name: string): string | undefined {
  const value = reply.headers[name]
  return typeof value === 'string' ? value : undefined
}

function isUuid(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text)
}

function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
