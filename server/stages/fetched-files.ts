import { RecentMap } from '#server/auth/recent-map.js'
import { upstreamUrls } from '#server/commands/mirror-differences.js'
import type { AskedMirror } from '#server/commands/mirrors.js'
import type { Notes } from '#server/storage/notes.js'
import type { Download } from '#server/upstream/downloads.js'
import { mirrorIdentity, upstreamsName } from './mirror-identity.js'

const MOST_REMEMBERED = 50_000

/**
 * Which contents a mirror got from which of its upstreams, noted beside the
 * log. An upstream can announce any digest: only what a mirror got the bytes of
 * from one of the upstreams that it has now may be given in its name, or
 * whoever knows the digest of a private file would get that out of the store.
 */
export class FetchedFiles {
  readonly #notes: Pick<Notes, 'get' | 'set'>
  readonly #recent = new RecentMap<true>(MOST_REMEMBERED)

  constructor(notes: Pick<Notes, 'get' | 'set'>) {
    this.#notes = notes
  }

  has(mirror: AskedMirror, sha256: string): boolean {
    return [...upstreamUrls(mirror.value), upstreamsName(mirror.value)].some((upstream) => this.#has(nameOf(mirror, upstream, sha256)))
  }

  /** Resolves with what was downloaded for the mirror, once it is in the store and noted. `upstream`: who gave it; on a replica, which cannot know, any of them. */
  async noted(mirror: AskedMirror, upstream: string | undefined, download: Download): Promise<{ readonly sha256: string }> {
    const stored = await download.whole()
    const name = nameOf(mirror, upstream ?? upstreamsName(mirror.value), stored.sha256)
    if (this.#recent.get(name) === undefined) {
      this.#recent.set(name, true)
      await this.#notes.set(name, true)
    }
    return stored
  }

  #has(name: string): boolean {
    if (this.#recent.get(name) !== undefined) return true
    if (this.#notes.get(name) !== true) return false
    this.#recent.set(name, true)
    return true
  }
}

function nameOf(mirror: AskedMirror, upstream: string, sha256: string): string {
  return `mirror-fetched\0${mirrorIdentity(mirror, upstream)}\0${sha256}`
}
