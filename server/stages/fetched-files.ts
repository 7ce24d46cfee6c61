import { RecentMap } from '#server/auth/recent-map.js'
import type { AskedMirror } from '#server/commands/mirrors.js'
import type { Storage } from '#server/storage/storage.js'
import type { Download } from '#server/upstream/downloads.js'
import { mirrorIdentity } from './mirror-identity.js'

const MOST_REMEMBERED = 50_000

/**
 * Which contents a mirror got from its own upstream, noted beside the log. An
 * upstream can announce any digest: only what it gave the bytes of may be
 * given in its name, or whoever knows the digest of a private file would get
 * that out of the store.
 */
export class FetchedFiles {
  readonly #notes: Pick<Storage, 'note' | 'setNote'>
  readonly #recent = new RecentMap<true>(MOST_REMEMBERED)

  constructor(notes: Pick<Storage, 'note' | 'setNote'>) {
    this.#notes = notes
  }

  has(mirror: AskedMirror, sha256: string): boolean {
    const name = nameOf(mirror, sha256)
    if (this.#recent.get(name) !== undefined) return true
    if (this.#notes.note(name) !== true) return false
    this.#recent.set(name, true)
    return true
  }

  /** Resolves with what was downloaded for the mirror, once it is in the store and noted. */
  async noted(mirror: AskedMirror, download: Download): Promise<{ readonly sha256: string }> {
    const stored = await download.whole()
    const name = nameOf(mirror, stored.sha256)
    if (this.#recent.get(name) === undefined) {
      this.#recent.set(name, true)
      await this.#notes.setNote(name, true)
    }
    return stored
  }
}

function nameOf(mirror: AskedMirror, sha256: string): string {
  return `mirror-fetched\0${mirrorIdentity(mirror)}\0${sha256}`
}
