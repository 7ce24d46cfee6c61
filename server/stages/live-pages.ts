import type { Serial } from '#log-format/serial.js'
import { scopes } from '#server/projections/last-changed.js'
import type { Storage } from '#server/storage/storage.js'
import { type ChangeCell, ChangeCells, isRetired } from './change-cells.js'
import { mirrorsAreOpen, shows } from './inherited-stage.js'
import { LiveProjects } from './live-projects.js'
import type { OpenStage } from './open-stage.js'
import { applyPolicies, type ShownParts } from './policies.js'

/** The parts of a page at one moment, and what would have to change for it to be different. */
export interface PageParts extends ShownParts {
  /** The head of that moment. */
  readonly serial: Serial
  readonly basis: Basis
}

/** Serials that an answer rests on. */
export interface Basis {
  readonly cells: readonly ChangeCell[]
  /** The serial of each cell when the answer was made. */
  readonly serials: readonly number[]
}

/** Attempts to find all parts of a page current at once, while commits go on. */
const ATTEMPTS = 20

/** Head state of pages for whoever renders and caches them. */
export class LivePages implements Disposable {
  readonly #storage: Storage
  readonly #projects: LiveProjects
  readonly #changes: ChangeCells

  /** `onForget` is called when bases made so far no longer follow the head. */
  constructor(storage: Storage, onForget: () => void, limits: { readonly mostFiles?: number; readonly mostCells?: number } = {}) {
    this.#storage = storage
    this.#projects = new LiveProjects(storage, limits)
    this.#changes = new ChangeCells(storage, onForget, limits)
  }

  /**
   * What the indexes of a stage have of a project, all at the same head; a
   * mirror adds what is known of it, unless the name is private. `outdated` when settings changed since the stage
   * was opened: it has to be opened again.
   */
  async parts(stage: OpenStage, project: string): Promise<PageParts | 'outdated'> {
    const settings = await this.#cells(stage.visited.map(({ user, index }) => scopes.settings(user, index)))
    const pages = await this.#cells(stage.all.map(({ user, index }) => scopes.page(user, index, project)))
    for (let attempt = 1; ; attempt += 1) {
      const projects = await Promise.all(stage.all.map(({ user, index }) => this.#projects.current({ user, index, project })))
      // From here on nothing waits, so what is current is so for all of them at this very head.
      // A project that had to make room for others meanwhile was told of nothing since: there its serial decides.
      if (!projects.every(({ isCurrent, serial }, at) => isCurrent && serial >= (pages[at]?.serial ?? Infinity))) {
        if (attempt < ATTEMPTS) continue
        return 'outdated' // what is known of them would pass for the state at this head
      }
      const isOpen = mirrorsAreOpen(stage, project, stage.all.filter((_, at) => projects[at]?.snapshot !== undefined))
      const contributions = projects.flatMap(({ snapshot }, at) => {
        const ref = stage.all[at]
        return ref === undefined || snapshot === undefined || !shows(stage, ref, isOpen) ? [] : [{ ref, snapshot }]
      })
      if (settings.some(({ serial }) => serial > stage.reader.serial) || pages.some(isRetired)) return 'outdated'
      return { ...applyPolicies(stage.policies, project, contributions), serial: this.#storage.head.serial, basis: basisOf([...settings, ...pages]) }
    }
  }

  /** What the list of project names of a stage rests on, as far as the log tells of it. */
  async listBasis(stage: OpenStage): Promise<Basis> {
    const settings = await this.#cells(stage.visited.map(({ user, index }) => scopes.settings(user, index)))
    const lists = await this.#cells(stage.all.map(({ user, index }) => scopes.projects(user, index)))
    return basisOf([...settings, ...lists])
  }

  [Symbol.dispose](): void {
    this.#changes[Symbol.dispose]()
    this.#projects[Symbol.dispose]()
  }

  #cells(names: readonly string[]): Promise<ChangeCell[]> {
    return Promise.all(names.map((name) => this.#changes.cell(name)))
  }
}

export function isCurrent({ cells, serials }: Basis): boolean {
  for (let at = 0; at < cells.length; at += 1) if (cells[at]?.serial !== serials[at]) return false
  return true
}

/** What rests on these cells as they are now. */
export function basisOf(cells: readonly ChangeCell[]): Basis {
  return { cells, serials: cells.map(({ serial }) => serial) }
}
