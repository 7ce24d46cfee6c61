import { Refusal } from '#log-format/api/refusal.js'
import { RecentMap } from '#server/auth/recent-map.js'
import type { AskedMirror } from '#server/commands/mirrors.js'
import type { UpstreamClient } from '#server/upstream/client.js'
import { fetchProjectPage } from '#server/upstream/project-page.js'
import { mirrorIdentity } from './mirror-identity.js'
import type { MirrorUpstream } from './mirror-upstreams.js'

/** A file by its name and content. */
export interface SoughtFile {
  readonly project: string
  readonly basename: string
  readonly sha256: string
}

/** By file name: where an upstream has it, and the digest that it states. */
type Places = ReadonlyMap<string, { readonly url: string; readonly sha256: string }>

/** Pages that are kept: somebody who installs asks for some files of each of a few projects. */
const MOST_PAGES = 32
const KEPT_MS = 60_000
/** Longer pages are read anew for each file: some of them together would fill the memory. */
const MOST_FILES_KEPT = 5000
const ANSWER_MS = 2500
const PAGE_MS = 15_000

/** Where else a file of a mirror can be had whose own upstream fails: what other upstreams of the mirror say of it, read for that alone. */
export class OtherPlaces {
  readonly #client: UpstreamClient
  readonly #now: () => number
  readonly #pages = new RecentMap<{ readonly until: number; readonly places: Promise<Places> }>(MOST_PAGES)

  constructor(client: UpstreamClient, now: () => number) {
    this.#client = client
    this.#now = now
  }

  /** The URL at which the upstream says to have this very file; undefined if it does not, or cannot be asked. */
  async find(mirror: AskedMirror, upstream: MirrorUpstream, { project, basename, sha256 }: SoughtFile): Promise<string | undefined> {
    try {
      const place = (await this.#page(mirror, upstream, project)).get(basename)
      return place?.sha256 === sha256 ? place.url : undefined
    } catch (error) {
      if (error instanceof Refusal) return undefined
      throw error
    }
  }

  #page(mirror: AskedMirror, upstream: MirrorUpstream, project: string): Promise<Places> {
    const name = `${mirrorIdentity(mirror, upstream.name)}\0${project}`
    const known = this.#pages.get(name)
    if (known !== undefined && known.until > this.#now()) return known.places
    const places = this.#fetch(upstream, project)
    this.#pages.set(name, { until: this.#now() + KEPT_MS, places })
    places.then(
      ({ size }) => { if (size > MOST_FILES_KEPT) this.#pages.delete(name) },
      () => { this.#pages.delete(name) },
    )
    return places
  }

  async #fetch(upstream: MirrorUpstream, project: string): Promise<Places> {
    const page = await fetchProjectPage(this.#client, { upstream, project, validators: {}, signal: AbortSignal.timeout(PAGE_MS), answerMs: ANSWER_MS })
    if (page.kind !== 'page') return new Map()
    return new Map(page.files.flatMap(({ filename, url, hashes: { sha256 } }) => (sha256 === undefined ? [] : [[filename, { url, sha256 }]])))
  }
}
