import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import { RecentMap } from '#server/auth/recent-map.js'
import { upstreamUrls } from '#server/commands/mirror-differences.js'
import { type AskedMirror, changeMirrorProject, type Disagreement, differsFromMirror } from '#server/commands/mirrors.js'
import { indexName } from '#server/commands/lookups.js'
import { projectNameFault } from '#server/packaging/project-name.js'
import type { Storage } from '#server/storage/storage.js'
import type { Upstream, UpstreamClient } from '#server/upstream/client.js'
import { type FetchedPage, fetchProjectPage, type PageValidators } from '#server/upstream/project-page.js'
import { mirrorName } from './mirror-identity.js'
import { type MirrorNote, MirrorNotes } from './mirror-notes.js'
import { type MirrorUpstream, upstreamsOf } from './mirror-upstreams.js'
import type { IndexInOrder } from './resolution-order.js'

/** What can be said of a project on a mirror. Times are ms since the epoch. */
export type Freshness =
  /** What is stored is what the upstream has; until then nobody need ask again. `instead`: the one that was asked as those before it failed. */
  | { readonly kind: 'fresh'; readonly until: number; readonly instead?: string }
  | { readonly kind: 'absent'; readonly until: number }
  /** The upstream could not be asked in time: what is stored, if anything, is of before. */
  | { readonly kind: 'failed'; readonly refusal: Refusal }

/** The primary, as the place where a replica asks for what mirrors have. */
export interface PrimaryOfMirrors {
  readonly client: UpstreamClient
  /** Resolves when this node has what the primary now has of a project. Refuses `upstream-failed`. */
  ask(mirror: AskedMirror, project: string, signal: AbortSignal): Promise<'fresh' | 'stale' | 'absent'>
  /** The mirror there, in place of its upstream. */
  upstream(mirror: AskedMirror): Upstream
}

export interface MirrorRefresherInput {
  readonly storage: Storage
  readonly client: UpstreamClient
  readonly now: () => number
  readonly newRequestId: () => string
  /** On a replica: it is the primary that asks upstreams. */
  readonly primary?: () => PrimaryOfMirrors | undefined
  /** Upstreams are not asked for pages: what is stored is all there is. */
  readonly isOffline?: boolean
  /** Told what went wrong on our side while nobody waits for it. */
  readonly onFault: (fault: unknown) => void
  /** Told of files of which an upstream states another digest than one before it. */
  readonly onDisagreement?: (mirror: AskedMirror, project: string, disagreement: Disagreement) => void
  readonly limits?: Partial<MirrorLimits>
}

export interface MirrorLimits {
  /** How long a page is fresh, where its index does not say. */
  readonly expiryMs: number
  /** How long it is believed at most that there is no such project. */
  readonly absentMs: number
  /** How long a replica believes what its primary said. */
  readonly primaryMs: number
  /** How long the word of an upstream is enough at most that is asked as the first one fails. */
  readonly insteadMs: number
  /** How long it is believed at most that the upstream fails for a project. */
  readonly failedMs: number
  /** How long somebody waits who has nothing yet, and who could have something stale instead. */
  readonly coldWaitMs: number
  readonly staleWaitMs: number
  /** How long fetching goes on at most. */
  readonly fetchMs: number
  /** How long an answer may take to begin, and to end, while there is another upstream to ask. */
  readonly answerMs: number
  readonly turnMs: number
}

const LIMITS: MirrorLimits = {
  expiryMs: 1_800_000, absentMs: 60_000, primaryMs: 60_000, insteadMs: 60_000, failedMs: 3000,
  coldWaitMs: 8000, staleWaitMs: 1500, fetchMs: 60_000, answerMs: 2500, turnMs: 15_000,
}

/** Failures remembered: names that strangers ask for are among them. */
const MOST_FAILURES = 10_000

/**
 * Keeps what is stored of mirrors in step with their upstreams, for whoever
 * asks for a project: one request at a time for each, however many wait.
 *
 * The upstreams of a mirror are asked in order, each only when the one before
 * it fails: when it cannot be reached, takes too long, is paused, or answers
 * with anything but a page or 404. A 404 of the first that answers is an
 * answer; a mirror that has what any of several places has is an index with
 * several mirrors as bases. Of a later upstream, which may have less than the
 * one that fails, a 404 says nothing: an outage never makes a project absent.
 */
export class MirrorRefresher implements AsyncDisposable {
  readonly #input: MirrorRefresherInput
  readonly #limits: MirrorLimits
  readonly #notes: MirrorNotes
  readonly #running = new Map<string, Promise<Freshness>>()
  readonly #failures = new RecentMap<{ readonly refusal: Refusal; readonly until: number }>(MOST_FAILURES)
  readonly #stop = new AbortController()
  /** Since the start. */
  readonly counts = { disagreements: 0, failovers: 0 }

  constructor(input: MirrorRefresherInput) {
    this.#input = input
    this.#limits = { ...LIMITS, ...input.limits }
    this.#notes = new MirrorNotes(input.storage)
  }

  /** Brings the project up to date if it is not, but keeps nobody waiting for long. */
  async ensure(mirror: AskedMirror, project: string): Promise<Freshness> {
    if (projectNameFault(project) !== undefined) return { kind: 'absent', until: Infinity }
    if (this.#input.isOffline === true) return { kind: 'failed', refusal: offline(`nothing of project ${project} is`) }
    const { storage, now } = this.#input
    const isStored = async (): Promise<boolean> => (await storage.reader().get(keys.project({ user: mirror.user, index: mirror.index, project }))) !== undefined
    // The page may have been stored, and noted, while the first look was under way.
    const isKnown = (await isStored()) || (this.#notesOf(mirror, project).some((note) => note?.has) && (await isStored()))
    const noted = this.#noted(mirror, project, isKnown)
    if (noted !== undefined) return noted
    const failure = this.#failures.get(nameOf(mirror, project))
    if (failure !== undefined && failure.until > now()) return { kind: 'failed', refusal: failure.refusal }
    const { coldWaitMs, staleWaitMs } = this.#limits
    return withinTime(this.#refresh(mirror, project, isKnown), isKnown ? staleWaitMs : coldWaitMs, () => ({ kind: 'failed', refusal: takesTooLong(mirror) }))
  }

  /** Forgets how fresh the project is and asks the upstream for all of it. */
  async renew(mirror: AskedMirror, project: string): Promise<Freshness> {
    await this.#forget(mirror, project, Infinity)
    this.#failures.delete(nameOf(mirror, project))
    return this.ensure(mirror, project)
  }

  /** Ends what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Refusal('not-available', 'the server is shutting down'))
    await Promise.allSettled(this.#running.values())
  }

  #refresh(mirror: AskedMirror, project: string, isKnown: boolean): Promise<Freshness> {
    const name = nameOf(mirror, project)
    const running = this.#running.get(name)
    if (running !== undefined) return running
    const started = this.#fetch(mirror, project, isKnown)
      .catch((error: unknown): Freshness => {
        if (error instanceof Refusal) return this.#failed(mirror, name, ofUpstream(error))
        this.#input.onFault(error)
        return { kind: 'failed', refusal: new Refusal('upstream-failed', `what the upstream of ${indexName(mirror)} has could not be stored`) }
      })
      .finally(() => this.#running.delete(name))
    this.#running.set(name, started)
    return started
  }

  #failed(mirror: AskedMirror, name: string, refusal: Refusal): Freshness {
    const until = this.#input.now() + Math.min(this.#expiryOf(mirror), this.#limits.failedMs)
    if (refusal.kind === 'upstream-failed') this.#failures.set(name, { refusal, until })
    return { kind: 'failed', refusal }
  }

  async #fetch(mirror: AskedMirror, project: string, isKnown: boolean): Promise<Freshness> {
    const { storage } = this.#input
    const primary = this.#input.primary?.()
    if (primary !== undefined) return this.#askPrimary(primary, mirror, project)
    let failure: Refusal | undefined
    const upstreams = await upstreamsOf(storage, mirror)
    for (const [at, upstream] of upstreams.entries()) {
      const note = isKnown ? this.#notes.get(mirror, project, at) : undefined
      const { checked: _, has: __, ...validators } = note ?? { checked: 0, has: false }
      const page = await this.#ask({ upstream, project, validators, isLast: at === upstreams.length - 1 }).catch((error: unknown) => refusalIn(error, this.#stop.signal))
      if (page instanceof Refusal) failure ??= page
      else if (at === 0 || page.kind !== 'absent') return this.#takeOver(mirror, project, { page, at, upstream: upstream.name, validators })
    }
    throw failure ?? new Refusal('upstream-failed', `mirror ${indexName(mirror)} has no upstream to ask`)
  }

  #ask({ isLast, ...wanted }: { readonly upstream: MirrorUpstream; readonly project: string; readonly validators: PageValidators; readonly isLast: boolean }): Promise<FetchedPage> {
    const { fetchMs, turnMs, answerMs } = this.#limits
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(isLast ? fetchMs : turnMs)])
    return fetchProjectPage(this.#input.client, { ...wanted, signal, ...(!isLast && { answerMs }) })
  }

  /** Notes the answer of an upstream, of which `at` others failed before, and stores what is new in it. */
  async #takeOver(mirror: AskedMirror, project: string, { page, at, upstream, validators }: Answer): Promise<Freshness> {
    const { storage, now, newRequestId } = this.#input
    const checked = now()
    if (page.kind === 'absent') {
      const absent = { checked, has: false }
      await this.#notes.set(mirror, project, at, absent)
      return { kind: 'absent', until: this.#until(mirror, absent, at) }
    }
    if (at > 0) this.counts.failovers += 1
    if (page.kind === 'page') {
      const { user, index } = mirror
      const said = { user, index, project, upstream, files: page.files }
      if (await differsFromMirror(storage.reader(), mirror, said, checked)) {
        const origin = { time: checked, actor: '+upstream', via: 'system', request: newRequestId() } as const
        const { result } = await storage.transact(origin, (tx) => changeMirrorProject(tx, mirror, said))
        for (const disagreement of result) {
          this.counts.disagreements += 1
          this.#input.onDisagreement?.(mirror, project, disagreement)
        }
        await this.#forget(mirror, project, at) // what those before it say counts for what this one added, even if it is what they said last
      }
    }
    const fresh = { checked, has: true, ...(page.kind === 'page' ? page.validators : validators) }
    await this.#notes.set(mirror, project, at, fresh)
    return { kind: 'fresh', until: this.#until(mirror, fresh, at), ...(at > 0 && { instead: upstream }) }
  }

  /** What the primary learns from an upstream comes with the log, whoever asked it there: here it is asked now and then. */
  async #askPrimary(primary: PrimaryOfMirrors, mirror: AskedMirror, project: string): Promise<Freshness> {
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(this.#limits.fetchMs)])
    const found = await primary.ask(mirror, project, signal)
    if (found === 'stale') throw new Refusal('upstream-failed', `the primary could not reach the upstream of ${indexName(mirror)}`)
    const expiry = this.#expiryOf(mirror)
    const has = found === 'fresh'
    const note = { checked: this.#input.now() - (has ? expiry - Math.min(expiry, this.#limits.primaryMs) : 0), has }
    await this.#notes.set(mirror, project, 0, note)
    return { kind: note.has ? 'fresh' : 'absent', until: this.#until(mirror, note, 0) }
  }

  /** What an upstream said lately enough that none need be asked. */
  #noted(mirror: AskedMirror, project: string, isKnown: boolean): Freshness | undefined {
    for (const [at, note] of this.#notesOf(mirror, project).entries()) {
      if (note === undefined || (note.has && !isKnown)) continue
      const until = this.#until(mirror, note, at)
      const instead = at === 0 ? undefined : upstreamUrls(mirror.value)[at]
      if (until > this.#input.now()) return note.has ? { kind: 'fresh', until, ...(instead !== undefined && { instead }) } : { kind: 'absent', until }
    }
    return undefined
  }

  #notesOf(mirror: AskedMirror, project: string): (MirrorNote | undefined)[] {
    return upstreamUrls(mirror.value).map((_, at) => this.#notes.get(mirror, project, at))
  }

  /** Forgets what the first `count` upstreams said. */
  async #forget(mirror: AskedMirror, project: string, count: number): Promise<void> {
    const upstreams = upstreamUrls(mirror.value).length
    for (let at = 0; at < Math.min(count, upstreams); at += 1) await this.#notes.forget(mirror, project, at)
  }

  #until(mirror: AskedMirror, { checked, has }: { readonly checked: number; readonly has: boolean }, at: number): number {
    const expiry = this.#expiryOf(mirror)
    if (has) return checked + (at === 0 ? expiry : Math.min(expiry, this.#limits.insteadMs))
    return checked + Math.min(expiry, this.#limits.absentMs)
  }

  #expiryOf({ value }: AskedMirror): number {
    return value.mirror_cache_expiry === undefined ? this.#limits.expiryMs : value.mirror_cache_expiry * 1000
  }
}

interface Answer {
  readonly page: FetchedPage
  readonly at: number
  readonly upstream: string
  /** Of what it said before. */
  readonly validators: PageValidators
}

/** The failing of one upstream, after which another one is asked; whatever else went wrong is thrown. */
function refusalIn(error: unknown, stop: AbortSignal): Refusal {
  if (error instanceof Refusal && !stop.aborted) return error
  throw error
}

/** What is under way, or failed, is of one index with these upstreams. */
function nameOf(mirror: AskedMirror, project: string): string {
  return `${mirrorName(mirror)}\0${project}`
}

/** The index as one to ask the upstream of; undefined for one that is no mirror. */
export function asMirror({ user, index, value }: IndexInOrder): AskedMirror | undefined {
  return value.type === 'mirror' ? { user, index, value } : undefined
}

/** Whoever asks did nothing wrong, whatever the upstream did. */
function ofUpstream(refusal: Refusal): Refusal {
  return refusal.kind === 'too-large' ? new Refusal('upstream-failed', refusal.message, { cause: refusal }) : refusal
}

/** The refusal of what is not stored while upstreams may not be asked: as far as anybody can tell, it does not exist. */
export function offline(what: string): Refusal {
  return new Refusal('not-found', `${what} stored here, and the server is offline: it asks no upstream`)
}

/** What comes of the work, or `late` instead when it takes longer. */
export async function withinTime<T>(work: Promise<T>, waitMs: number, late: () => T): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<T>((resolve) => {
    timer = setTimeout(() => { resolve(late()) }, waitMs)
  })
  try {
    return await Promise.race([work, timeout])
  } finally {
    clearTimeout(timer)
  }
}

/** The refusal of an upstream that others wait for, too. */
export function takesTooLong(mirror: AskedMirror): Refusal {
  return new Refusal('upstream-failed', `the upstream of ${indexName(mirror)} takes too long to answer; try again in a moment`)
}
