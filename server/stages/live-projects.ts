import { keys } from '#log-format/keys.js'
import type { ProjectRef } from '#server/commands/lookups.js'
import type { Storage } from '#server/storage/storage.js'
import type { CommittedEntry } from '#server/storage/writer.js'
import { LiveProject } from './live-project.js'

/** Files of all projects held together; the projects asked for longest ago are dropped beyond it. */
const MOST_FILES = 50_000

const FAMILIES: ReadonlySet<string> = new Set([keys.project.family, keys.version.family, keys.link.family, keys.mirrorFile.family])

interface Kept {
  readonly project: LiveProject
  /** Counted for it in the sum of all. */
  files: number
}

/** The projects that somebody asked for lately, each kept current. */
export class LiveProjects implements Disposable {
  readonly #storage: Storage
  readonly #projects = new Map<string, Kept>()
  readonly #mostFiles: number
  #files = 0
  readonly #subscription: Disposable

  constructor(storage: Storage, { mostFiles = MOST_FILES }: { readonly mostFiles?: number } = {}) {
    this.#storage = storage
    this.#mostFiles = mostFiles
    this.#subscription = storage.onCommit((entries) => this.#follow(entries))
  }

  /** The project, current as of some moment after the call. */
  async current(ref: ProjectRef): Promise<LiveProject> {
    const name = nameOf(ref.user, ref.index, ref.project)
    const kept = this.#projects.get(name) ?? { project: new LiveProject(ref, () => this.#storage.reader()), files: 0 }
    this.#projects.delete(name) // set anew, so that the oldest is the first
    this.#projects.set(name, kept)
    if (!kept.project.isCurrent) {
      await kept.project.refresh()
      this.#count(name, kept)
    }
    return kept.project
  }

  forget(): void {
    this.#projects.clear()
    this.#files = 0
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]()
    this.forget()
  }

  #follow(entries: readonly CommittedEntry[]): void {
    if (this.#projects.size === 0) return
    for (const { touched } of entries) {
      for (const key of touched) {
        if (!FAMILIES.has(key.family)) continue
        const [user = '', index = '', project = ''] = key.segments
        this.#projects.get(nameOf(user, index, project))?.project.touch(key)
      }
    }
  }

  /** Counts the files of a project that was read, and drops the oldest ones if they are too many now. */
  #count(name: string, kept: Kept): void {
    if (this.#projects.get(name) !== kept) return // it was dropped itself
    const files = 1 + (kept.project.snapshot?.fileCount ?? 0)
    this.#files += files - kept.files
    kept.files = files
    for (const [oldest, { files: dropped }] of this.#projects) {
      if (this.#files <= this.#mostFiles || this.#projects.size === 1) return
      this.#files -= dropped
      this.#projects.delete(oldest)
    }
  }
}

function nameOf(user: string, index: string, project: string): string {
  return `${user}\0${index}\0${project}`
}
