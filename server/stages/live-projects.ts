import { keys } from '#log-format/keys.js'
import type { ProjectRef } from '#server/commands/lookups.js'
import type { Storage } from '#server/storage/storage.js'
import type { CommittedEntry } from '#server/storage/writer.js'
import { LiveProject } from './live-project.js'

/** Files of all projects held together; the projects asked for longest ago are dropped beyond it. */
const MOST_FILES = 50_000

const FAMILIES: ReadonlySet<string> = new Set([keys.project.family, keys.version.family, keys.link.family])

/** The projects that somebody asked for lately, each kept current. */
export class LiveProjects implements Disposable {
  readonly #storage: Storage
  readonly #projects = new Map<string, LiveProject>()
  readonly #subscription: Disposable

  constructor(storage: Storage) {
    this.#storage = storage
    this.#subscription = storage.onCommit((entries) => this.#follow(entries))
  }

  /** The project, current as of some moment after the call. */
  async current(ref: ProjectRef): Promise<LiveProject> {
    const project = this.#project(ref)
    if (!project.isCurrent) {
      await project.refresh()
      this.#dropOldest()
    }
    return project
  }

  forget(): void {
    this.#projects.clear()
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]()
    this.forget()
  }

  #project(ref: ProjectRef): LiveProject {
    const name = nameOf(ref.user, ref.index, ref.project)
    const project = this.#projects.get(name) ?? new LiveProject(ref, () => this.#storage.reader())
    this.#projects.delete(name) // set anew, so that the oldest is the first
    this.#projects.set(name, project)
    return project
  }

  #follow(entries: readonly CommittedEntry[]): void {
    for (const { touched } of entries) {
      for (const key of touched) {
        if (!FAMILIES.has(key.family)) continue
        const [user = '', index = '', project = ''] = key.segments
        this.#projects.get(nameOf(user, index, project))?.touch(key)
      }
    }
  }

  #dropOldest(): void {
    let files = 0
    for (const { snapshot } of this.#projects.values()) files += 1 + (snapshot?.fileCount ?? 0)
    for (const [name, { snapshot }] of this.#projects) {
      if (files <= MOST_FILES || this.#projects.size === 1) return
      files -= 1 + (snapshot?.fileCount ?? 0)
      this.#projects.delete(name)
    }
  }
}

function nameOf(user: string, index: string, project: string): string {
  return `${user}\0${index}\0${project}`
}
