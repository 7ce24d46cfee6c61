import type { IncomingMessage, ServerResponse } from 'node:http'
import type { IndexRef } from '#server/commands/lookups.js'
import type { Serial } from '#log-format/serial.js'
import { readContributions } from '#server/stages/contributions.js'
import { type Basis, isCurrent, LivePages, type PageParts } from '#server/stages/live-pages.js'
import { LONGEST_PROJECT_NAME } from '#server/packaging/project-name.js'
import type { OpenStage } from '#server/stages/open-stage.js'
import { applyPolicies, policyHeader, type ShownParts } from '#server/stages/policies.js'
import { type IsStored, storedOnly } from '#server/stages/stored-only.js'
import type { Storage } from '#server/storage/storage.js'
import { etagMatches, PAGE_CACHE_CONTROL, POLICY_HEADER } from './caching.js'
import { negotiateSimple, SIMPLE_VARY, type SimpleAnswer } from './negotiate.js'
import { endWith, type PageBody } from './page-body.js'
import { type LinkBase, pageEtag, renderProjectPage } from './project-page.js'
import { addressKey, addressToKeep } from './original-url.js'
import { type NodeIdentity, nodeHeaders } from './respond.js'

/** A page ready to be sent. */
export interface ProjectPage {
  readonly body: PageBody
  /** The serial at which it is this page; one that waited for its upstream is of a later one than the request. */
  readonly serial: Serial
  readonly etag: string
  readonly contentType: string
  /** What {@link POLICY_HEADER} says; undefined where nothing is hidden. */
  readonly policy: string | undefined
}

interface CachedPage extends ProjectPage {
  readonly basis: Basis
  /** Names and values in turn; the last value is the serial, set anew for each reply. */
  readonly whole: string[]
  readonly notModified: string[]
  /** Until then, in ms since the epoch, the upstreams that it draws from need not be asked and no policy shows something else; infinite without any. */
  readonly freshUntil: number
  /** Asked for since the eviction last came by. */
  used: boolean
}

const MOST_BYTES = 64 * 1024 * 1024
/** What a page costs beside its body. */
const PAGE_OVERHEAD = 1024

/**
 * Project pages as they stand at head, kept while nothing they rest on
 * changes. Pages that everybody may see can be answered without looking at
 * anything else; the others are put together for each caller.
 */
export class ProjectPages implements Disposable {
  readonly #storage: Storage
  readonly #node: NodeIdentity
  readonly #live: LivePages
  readonly #now: () => number
  readonly #isStored: IsStored | undefined
  readonly counts = { hits: 0, misses: 0 }
  readonly #pages = new Map<string, CachedPage>()
  #bytes = 0
  #serialText = { serial: -2, text: '' }

  /** `isStored`: of mirrors only what it holds for is shown, as nothing else can be had. */
  constructor(storage: Storage, node: NodeIdentity, now: () => number = Date.now, isStored?: IsStored) {
    this.#storage = storage
    this.#isStored = isStored
    this.#now = now
    this.#node = node
    this.#live = new LivePages(storage, () => this.#forgetAll())
  }

  /** Memory that the pages take. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Answers a request whose page is cached and current; false when it has to
   * be found the long way. Costs a few comparisons: this is what CI asks for
   * all day.
   */
  answer(request: IncomingMessage, response: ServerResponse): boolean {
    const { method, url } = request
    if (url === undefined || (method !== 'GET' && method !== 'HEAD')) return false
    if (request.headers['x-devpi-absolute-urls'] !== undefined) return false
    const answer = negotiateSimple(request)
    if (answer === 'not-acceptable') return false
    const page = this.#pages.get(cacheKey(addressKey(request, url), answer))
    if (page === undefined || !isCurrent(page.basis)) return false
    if (page.freshUntil !== Infinity && page.freshUntil <= this.#now()) return false
    page.used = true
    this.counts.hits += 1
    this.#send(request, response, page)
    return true
  }

  /**
   * The page of a project at head; undefined when no index of the stage has
   * it, `outdated` when the settings that opened the stage changed meanwhile.
   */
  async page(
    request: IncomingMessage,
    input: { readonly stage: OpenStage; readonly project: string; readonly links: LinkBase; readonly answer: SimpleAnswer; readonly freshUntil: number },
  ): Promise<ProjectPage | 'outdated' | undefined> {
    const { stage, project, links, answer } = input
    if (project.length > LONGEST_PROJECT_NAME) return undefined // not worth a look, nor to be remembered as absent
    const all = await this.#live.parts(stage, project)
    if (all === 'outdated') return all
    const parts = await this.#stored(stage, all)
    if (parts.contributions.length === 0) return undefined
    this.counts.misses += 1
    const freshUntil = Math.min(input.freshUntil, parts.until)
    const page = { ...this.#render(stage, project, links, answer, parts), freshUntil }
    const isPlain = request.headers['x-devpi-absolute-urls'] === undefined
    const address = addressToKeep(request)
    if (stage.isPublic && isPlain && freshUntil > this.#now() && address !== undefined) this.#keep(cacheKey(address, answer), page)
    return page
  }

  /** The page as it was at the serial of the stage's reader; undefined when no index had the project. */
  async pageAt(input: {
    readonly stage: OpenStage
    readonly project: string
    readonly links: LinkBase
    readonly answer: SimpleAnswer
  }): Promise<ProjectPage | undefined> {
    const { stage, project, links, answer } = input
    const found = await readContributions(stage, project)
    if (found.length === 0) return undefined
    const { contributions, hidden, key } = await this.#stored(stage, applyPolicies(stage.policies, project, found))
    if (contributions.length === 0) return undefined
    const body = renderProjectPage({ ref: stage, project, links, answer, contributions })
    const order = contributions.map(({ ref }) => `${ref.user}/${ref.index}`)
    const etag = this.#etag(answer, [links.key, project, 'at', stage.reader.serial, ...order, ...hiddenPart(key)])
    return { body, serial: stage.reader.serial, etag, contentType: answer.contentType, policy: policyHeader({ hidden }) }
  }

  /**
   * The ETag of the list of a stage's projects at the serial of its reader,
   * with what `lists` names of upstreams; `outdated` when something it rests on has changed since.
   */
  async listEtag(stage: OpenStage, answer: SimpleAnswer, lists: readonly string[]): Promise<{ readonly etag: string } | 'outdated'> {
    const { cells, serials } = await this.#live.listBasis(stage)
    if (serials.some((serial) => serial > stage.reader.serial)) return 'outdated'
    return { etag: this.#etag(answer, ['list', nameOf(stage), ...cells.map(({ scope }) => scope), ...serials, ...stage.order.map(nameOf), ...lists]) }
  }

  /** The ETag of the list as it was at the serial of the stage's reader: what may be read of it now is what can change. */
  pastListEtag(stage: OpenStage, answer: SimpleAnswer): { readonly etag: string } {
    return { etag: this.#etag(answer, ['list', nameOf(stage), 'at', stage.reader.serial, ...stage.order.map(nameOf)]) }
  }

  [Symbol.dispose](): void {
    this.#live[Symbol.dispose]()
  }

  async #stored<T extends Pick<ShownParts, 'contributions' | 'key'>>(stage: OpenStage, parts: T): Promise<T> {
    if (this.#isStored === undefined) return parts
    const { contributions, key } = await storedOnly(stage, parts.contributions, this.#isStored)
    return { ...parts, contributions, key: `${parts.key} ${key}` }
  }

  /** Serials mean something within one log only: another server at the same address has others of the same number. */
  #etag(answer: SimpleAnswer, parts: readonly (string | number)[]): string {
    return pageEtag(answer, [this.#node.primaryUuid, ...parts])
  }

  #render(stage: OpenStage, project: string, links: LinkBase, answer: SimpleAnswer, parts: PageParts): Omit<CachedPage, 'freshUntil'> {
    const { contributions, basis, serial, key } = parts
    const policy = policyHeader(parts)
    const body = renderProjectPage({ ref: stage, project, links, answer, contributions })
    const order = contributions.map(({ ref }) => nameOf(ref))
    const etag = this.#etag(answer, [links.key, nameOf(stage), project, ...order, ...basis.serials, ...hiddenPart(key)])
    const { contentType } = answer
    const notModified = [...pageHeaders(this.#node, { etag, contentType, policy }), 'X-DEVPI-SERIAL', '']
    const whole = ['Content-Length', String(body.length), ...notModified]
    return { body, serial, etag, contentType, policy, basis, whole, notModified, used: true }
  }

  #send(request: IncomingMessage, response: ServerResponse, page: CachedPage): void {
    const { whole, notModified, body, etag } = page
    const ifNoneMatch = request.headers['if-none-match']
    const isKnown = ifNoneMatch !== undefined && etagMatches(ifNoneMatch, etag)
    const headers = isKnown ? notModified : whole
    headers[headers.length - 1] = this.#headText()
    response.writeHead(isKnown ? 304 : 200, headers)
    if (isKnown) response.end()
    else endWith(response, body)
  }

  #headText(): string {
    const { serial } = this.#storage.head
    if (this.#serialText.serial !== serial) this.#serialText = { serial, text: String(serial) }
    return this.#serialText.text
  }

  #keep(key: string, page: CachedPage): void {
    const before = this.#pages.get(key)
    if (before !== undefined) this.#drop(key, before)
    this.#pages.set(key, page)
    this.#bytes += page.body.length + PAGE_OVERHEAD
    for (const [oldest, { used }] of this.#pages) {
      if (this.#bytes <= MOST_BYTES) return
      const found = this.#pages.get(oldest)
      if (found === undefined) continue
      this.#drop(oldest, found)
      if (!used) continue
      found.used = false // a second chance, behind all others
      this.#pages.set(oldest, found)
      this.#bytes += found.body.length + PAGE_OVERHEAD
    }
  }

  #drop(key: string, page: CachedPage): void {
    this.#pages.delete(key)
    this.#bytes -= page.body.length + PAGE_OVERHEAD
  }

  #forgetAll(): void {
    this.#pages.clear()
    this.#bytes = 0
  }
}

/** Every header of a page but its serial and length, names and values in turn. */
function pageHeaders(node: NodeIdentity, page: Omit<ProjectPage, 'body' | 'serial'>): string[] {
  return [
    ...['Content-Type', page.contentType],
    ...['ETag', page.etag],
    ...['Cache-Control', PAGE_CACHE_CONTROL],
    ...['Vary', SIMPLE_VARY],
    ...(page.policy === undefined ? [] : [POLICY_HEADER, page.policy]),
    ...nodeHeaders(node),
  ]
}

function hiddenPart(key: string): readonly string[] {
  return key === '' ? [] : ['hidden', key]
}

/** The address as the client wrote it, with what else decides how it is read. */
function cacheKey(address: string, answer: SimpleAnswer): string {
  return `${answer.contentType}${answer.installer ? ' ' : '\t'}${address}`
}

function nameOf(ref: IndexRef): string {
  return `${ref.user}/${ref.index}`
}
