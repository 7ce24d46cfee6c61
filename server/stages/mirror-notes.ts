import type { JsonValue } from '#log-format/values.js'
import { RecentMap } from '#server/auth/recent-map.js'
import type { AskedMirror } from '#server/commands/mirrors.js'
import type { Storage } from '#server/storage/storage.js'
import type { PageValidators } from '#server/upstream/project-page.js'
import { upstreamsName } from './mirror-identity.js'

/** When the upstream of a mirror said last what it has of a project. */
export interface MirrorNote extends PageValidators {
  /** ms since the epoch. */
  readonly checked: number
  /** Whether it has the project. */
  readonly has: boolean
}

const MOST_NOTES = 50_000

/**
 * What was found out about projects of upstreams: a cache, beside the log.
 * Only of projects that there are does it outlive the process, as anybody can
 * ask for any number of others.
 */
export class MirrorNotes {
  readonly #storage: Storage
  readonly #recent = new RecentMap<MirrorNote | 'none'>(MOST_NOTES)

  constructor(storage: Storage) {
    this.#storage = storage
  }

  /** What the upstream said that is asked after `at` others. */
  get(mirror: AskedMirror, project: string, at: number): MirrorNote | undefined {
    const name = nameOf(mirror, project, at)
    const recent = this.#recent.get(name)
    if (recent !== undefined) return recent === 'none' ? undefined : recent
    const stored = parseNote(this.#storage.notes.get(name))
    this.#recent.set(name, stored ?? 'none')
    return stored
  }

  /** Of the state that the log is in: to be called after its entry was written. */
  async set(mirror: AskedMirror, project: string, at: number, note: MirrorNote): Promise<void> {
    const name = nameOf(mirror, project, at)
    this.#recent.set(name, note)
    if (note.has) await this.#storage.notes.set(name, { ...note })
  }

  /** The next one who asks hears it from the upstream. */
  async forget(mirror: AskedMirror, project: string, at: number): Promise<void> {
    const name = nameOf(mirror, project, at)
    this.#recent.set(name, 'none')
    if (parseNote(this.#storage.notes.get(name)) !== undefined) await this.#storage.notes.set(name, null) // strangers may ask for any name
  }
}

/** What was found out of another index of the name, of another upstream, or after others than now, says nothing. */
function nameOf({ user, index, value }: AskedMirror, project: string, at: number): string {
  return `mirror\0${user}\0${index}\0${project}\0${value.created}\0${upstreamsName(value, at)}`
}

function parseNote(note: JsonValue | undefined): MirrorNote | undefined {
  if (typeof note !== 'object' || note === null || Array.isArray(note)) return undefined
  const { checked, has, etag, lastModified }: { readonly [field: string]: unknown } = { ...note }
  if (typeof checked !== 'number' || has !== true) return undefined
  return { checked, has, ...(typeof etag === 'string' && { etag }), ...(typeof lastModified === 'string' && { lastModified }) }
}
