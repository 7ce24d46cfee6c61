import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import type { JsonValue } from '#log-format/values.js'
import { RecentMap } from '#server/auth/recent-map.js'
import { indexName } from '#server/commands/lookups.js'
import { upstreamUrls } from '#server/commands/mirror-differences.js'
import type { AskedMirror } from '#server/commands/mirrors.js'
import type { NameListRef, NameLists } from '#server/storage/name-lists.js'
import { fetchNameList } from '#server/upstream/name-list.js'
import type { PageValidators } from '#server/upstream/project-page.js'
import { mirrorIdentity } from './mirror-identity.js'
import { upstreamNamed, upstreamsOf } from './mirror-upstreams.js'
import { type MirrorRefresherInput, offline, takesTooLong, withinTime } from './refresh-mirror.js'

/** What is known of the names of an upstream. */
export interface NamesState {
  /** Undefined where none was ever stored. */
  readonly list: NameListRef | undefined
  /** Why it may be stale or is missing. */
  readonly failure: Refusal | undefined
}

export interface MirrorNamesInput extends Omit<MirrorRefresherInput, 'limits' | 'newRequestId'> {
  readonly lists: NameLists
  readonly limits?: Partial<NamesLimits>
}

export interface NamesLimits {
  /** How long a list is fresh, where its index does not say. */
  readonly expiryMs: number
  /** How long it is believed at most that the upstream fails. */
  readonly failedMs: number
  /** How long somebody waits who has nothing yet, and who could have something stale instead. */
  readonly coldWaitMs: number
  readonly staleWaitMs: number
  /** How long fetching goes on at most. */
  readonly fetchMs: number
  /** How long an answer may take to begin while there is another upstream to ask. */
  readonly answerMs: number
}

const LIMITS: NamesLimits = { expiryMs: 1_800_000, failedMs: 3000, coldWaitMs: 30_000, staleWaitMs: 1500, fetchMs: 300_000, answerMs: 5000 }

/** Each holds its names in memory until they are sorted. */
const MOST_AT_ONCE = 4
const MOST_FAILURES = 1000

/** One of the upstreams of a mirror, of which each has a list of its own. */
interface ListedUpstream {
  readonly mirror: AskedMirror
  readonly upstream: string
  readonly isLast: boolean
}

/** What is noted beside a stored list. */
interface NamesNote extends PageValidators {
  readonly digest: string
  /** ms since the epoch. */
  readonly checked: number
}

/**
 * The names of all projects of upstreams: stored beside the log, as it says
 * nothing of them, and asked for only when somebody wants the list; one
 * request at a time for each mirror, however many wait.
 */
export class MirrorNames implements AsyncDisposable {
  readonly #input: MirrorNamesInput
  readonly #limits: NamesLimits
  readonly #running = new Map<string, Promise<NamesState>>()
  readonly #failures = new RecentMap<{ readonly refusal: Refusal; readonly until: number }>(MOST_FAILURES)
  readonly #stop = new AbortController()

  constructor(input: MirrorNamesInput) {
    this.#input = input
    this.#limits = { ...LIMITS, ...input.limits }
  }

  /** Removes what is stored of mirrors that there are no more. To be called before anything is asked. */
  async sweep(): Promise<void> {
    const { storage, lists } = this.#input
    if (await lists.isEmpty()) return
    const owners = new Set<string>()
    for await (const { segments: [user = '', index = ''], value } of storage.reader().scan(keys.index.under())) {
      if (value.type === 'mirror') for (const upstream of upstreamUrls(value)) owners.add(mirrorIdentity({ user, index, value }, upstream))
    }
    await lists.sweep(owners)
  }

  /**
   * The newest list that can be had without keeping anybody waiting for long:
   * of the first upstream that gives one, or gave one before it failed.
   */
  async ensure(mirror: AskedMirror): Promise<NamesState> {
    if (mirror.value.mirror_no_project_list === true) return { list: undefined, failure: undefined }
    if (this.#input.isOffline === true) return { list: undefined, failure: offline('no list of projects is') }
    const all = upstreamUrls(mirror.value)
    const names = this.#input.primary?.() === undefined ? all : all.slice(0, 1) // on a replica it is the primary that asks, whomever
    let failure: Refusal | undefined
    for (const [at, upstream] of names.entries()) {
      const state = await this.#ensure({ mirror, upstream, isLast: at === names.length - 1 })
      if (state.list !== undefined) return state
      failure ??= state.failure
    }
    return { list: undefined, failure }
  }

  async #ensure(listed: ListedUpstream): Promise<NamesState> {
    const { mirror, upstream } = listed
    const owner = mirrorIdentity(mirror, upstream)
    const note = await this.#stored(owner)
    const list = note && { owner, digest: note.digest }
    if (note !== undefined && note.checked + this.#expiryOf(mirror) > this.#input.now()) return { list, failure: undefined }
    const failed = this.#failures.get(owner)
    if (failed !== undefined && failed.until > this.#input.now()) return { list, failure: failed.refusal }
    const { coldWaitMs, staleWaitMs } = this.#limits
    return withinTime(this.#refresh(listed, note), list === undefined ? coldWaitMs : staleWaitMs, () => ({ list, failure: takesTooLong(mirror) }))
  }

  /** The names of a list, in order and in batches. */
  read(list: NameListRef): AsyncGenerator<readonly string[]> {
    return this.#input.lists.read(list)
  }

  /** Ends what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Refusal('not-available', 'the server is shutting down'))
    await Promise.allSettled(this.#running.values())
  }

  #refresh(listed: ListedUpstream, note: NamesNote | undefined): Promise<NamesState> {
    const { mirror, upstream } = listed
    const owner = mirrorIdentity(mirror, upstream)
    const running = this.#running.get(owner)
    if (running !== undefined) return running
    const list = note && { owner, digest: note.digest }
    const started = this.#fetch(listed, owner, note)
      .catch((error: unknown): NamesState => {
        if (!(error instanceof Refusal)) this.#input.onFault(error)
        const refusal = error instanceof Refusal ? error : new Refusal('upstream-failed', `the names that the upstream of ${indexName(mirror)} lists could not be stored`)
        const until = this.#input.now() + Math.min(this.#expiryOf(mirror), this.#limits.failedMs)
        if (refusal.kind === 'upstream-failed') this.#failures.set(owner, { refusal, until })
        return { list, failure: refusal }
      })
      .finally(() => this.#running.delete(owner))
    this.#running.set(owner, started)
    return started
  }

  async #fetch({ mirror, upstream: name, isLast }: ListedUpstream, owner: string, note: NamesNote | undefined): Promise<NamesState> {
    const { storage, lists, now } = this.#input
    const primary = this.#input.primary?.()
    const client = primary?.client ?? this.#input.client
    if (this.#running.size >= MOST_AT_ONCE) throw new Refusal('not-available', 'the lists of other mirrors are being read just now; try again in a moment')
    const upstream = primary?.upstream(mirror) ?? upstreamNamed(await upstreamsOf(storage, mirror), name)
    if (upstream === undefined) throw new Refusal('upstream-failed', `mirror ${indexName(mirror)} has no mirror_url to ask`)
    const { digest: before, checked: _, ...validators } = note ?? { digest: undefined, checked: 0 }
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(this.#limits.fetchMs)])
    const fetched = await fetchNameList(client, { upstream, validators, signal, ...(!isLast && { answerMs: this.#limits.answerMs }) })
    const checked = now()
    if (fetched.kind === 'not-modified' && note !== undefined) {
      await storage.notes.set(noteName(owner), { ...note, checked })
      return { list: { owner, digest: note.digest }, failure: undefined }
    }
    if (fetched.kind !== 'names') throw new Refusal('upstream-failed', `the upstream of ${indexName(mirror)} says that nothing changed, to who had nothing`)
    const list = await lists.write(owner, fetched.names.inOrder(), before === undefined ? undefined : { owner, digest: before })
    await storage.notes.set(noteName(owner), { digest: list.digest, checked, ...fetched.validators })
    return { list, failure: undefined }
  }

  /** The newest note of a list that lies here: one made while its file was looked for counts, or its fetch would be done twice. */
  async #stored(owner: string): Promise<NamesNote | undefined> {
    for (;;) {
      const note = this.#note(owner)
      const isThere = note !== undefined && (await this.#input.lists.has({ owner, digest: note.digest }))
      const since = this.#note(owner)
      if (since?.checked === note?.checked && since?.digest === note?.digest) return isThere ? note : undefined
    }
  }

  #note(owner: string): NamesNote | undefined {
    return parseNote(this.#input.storage.notes.get(noteName(owner)))
  }

  #expiryOf({ value }: AskedMirror): number {
    return value.mirror_cache_expiry === undefined ? this.#limits.expiryMs : value.mirror_cache_expiry * 1000
  }
}

function noteName(owner: string): string {
  return `mirror-names\0${owner}`
}

function parseNote(note: JsonValue | undefined): NamesNote | undefined {
  if (typeof note !== 'object' || note === null || Array.isArray(note)) return undefined
  const { digest, checked, etag, lastModified }: { readonly [field: string]: unknown } = { ...note }
  if (typeof digest !== 'string' || !/^[0-9a-f]{64}$/.test(digest) || typeof checked !== 'number') return undefined
  return { digest, checked, ...(typeof etag === 'string' && { etag }), ...(typeof lastModified === 'string' && { lastModified }) }
}
