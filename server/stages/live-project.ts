import { keys } from '#log-format/keys.js'
import { NO_SERIAL, type Serial } from '#log-format/serial.js'
import type { ProjectRef } from '#server/commands/lookups.js'
import { versionSortKey } from '#log-format/version.js'
import type { TouchedKey } from '#server/storage/fold.js'
import type { Reader } from '#server/storage/reader.js'
import { linkFields } from './link-fields.js'
import {
  compareFiles,
  compareProjectVersions,
  type FileOrder,
  type ProjectFile,
  projectFile,
  type ProjectFiles,
  type ProjectVersion,
  readProjectFiles,
} from './project-files.js'

/** Files of a project that follow each other, with the bytes that were rendered of them. Never changes. */
export interface FileRun {
  readonly files: readonly ProjectFile[]
  /** What a cache over it keeps, by spelling and URL. */
  readonly rendered: Map<string, Buffer>
}

/** A project of one index at some serial. Never changes; what a commit leaves alone is shared with the next one. */
export interface ProjectSnapshot {
  readonly runs: readonly FileRun[]
  readonly fileCount: number
  readonly versions: ReadonlyMap<string, ProjectVersion>
  /** Ascending. */
  readonly versionList: readonly ProjectVersion[]
}

/** A change of these is not worth applying by itself: a mirror tells of all its files at once. */
const READ_AFRESH: ReadonlySet<string> = new Set([keys.project.family, keys.mirrorFile.family])

/** Files of a run as it is made; a run is split beyond twice as many. */
const FILES_IN_RUN = 128
/** Changes worth applying one by one; beyond them the project is read afresh. */
const MOST_CHANGES = 500

/**
 * A project of one index, kept current by the keys that commits touch: after
 * an upload one link is read, and one run of files is made anew, however many
 * files there are.
 */
export class LiveProject {
  readonly #ref: ProjectRef
  readonly #newReader: () => Reader
  #snapshot: ProjectSnapshot | undefined
  #serial: Serial = NO_SERIAL
  #loaded = false
  /** Keys that changed since the snapshot, by family and segments. */
  #changes = new Map<string, TouchedKey>()
  #refreshing: Promise<void> | undefined

  constructor(ref: ProjectRef, newReader: () => Reader) {
    this.#ref = ref
    this.#newReader = newReader
  }

  /** Whether the snapshot holds everything up to the head of this moment: not while the changes taken for it are still read. */
  get isCurrent(): boolean {
    return this.#loaded && this.#changes.size === 0 && this.#refreshing === undefined
  }

  /** The project as of the last refresh; undefined where the index does not have it. */
  get snapshot(): ProjectSnapshot | undefined {
    return this.#snapshot
  }

  /** Of the last refresh: the snapshot holds everything up to it, even of a project that is told of nothing any more. */
  get serial(): Serial {
    return this.#serial
  }

  /** To be told of every key below the project in the moment the head moves. */
  touch({ family, segments, name }: TouchedKey): void {
    this.#changes.set(name, { family, segments, name }) // a change would keep the memory of its entry
  }

  /** Brings the snapshot to some head at or after the call. */
  async refresh(): Promise<void> {
    while (!this.isCurrent) {
      this.#refreshing ??= this.#refresh().finally(() => {
        this.#refreshing = undefined
      })
      await this.#refreshing
    }
  }

  async #refresh(): Promise<void> {
    const changes = [...this.#changes.values()]
    this.#changes = new Map()
    const before = this.#snapshot
    const reader = this.#newReader()
    try {
      if (before === undefined || changes.length > MOST_CHANGES || changes.some(({ family }) => READ_AFRESH.has(family))) {
        const found = await readProjectFiles(reader, this.#ref)
        this.#snapshot = found && snapshotOf(found)
      } else {
        this.#snapshot = await applyChanges(reader, before, changes)
      }
      this.#serial = reader.serial
      this.#loaded = true
    } catch (error) {
      this.#loaded = false
      this.#snapshot = undefined
      throw error
    }
  }
}

export function snapshotOf({ files, versions }: ProjectFiles): ProjectSnapshot {
  const runs: FileRun[] = []
  for (let at = 0; at < files.length; at += FILES_IN_RUN) runs.push(newRun(files.slice(at, at + FILES_IN_RUN)))
  return { runs, fileCount: files.length, versions, versionList: sortVersions(versions) }
}

async function applyChanges(
  reader: Reader,
  before: ProjectSnapshot,
  changes: readonly TouchedKey[],
): Promise<ProjectSnapshot> {
  const versions = await changedVersions(reader, before.versions, changes)
  let runs = before.runs
  let fileCount = before.fileCount
  for (const { family, segments } of changes) {
    const [, , , version = '', basename = ''] = segments
    if (family !== keys.link.family) continue
    const versionKey = versions.get(version)?.key ?? versionSortKey(version)
    const link = await reader.get(keys.link(keys.link.params(segments)))
    const file = link && projectFile(basename, version, versionKey, linkFields(link))
    const place = { version, versionKey, basename }
    const next = replaceFile(runs, place, file)
    runs = next.runs
    fileCount += next.difference
  }
  const unyanked = versionsYankedOtherwise(before.versions, versions)
  if (unyanked.size > 0) {
    runs = runs.map((run) => (run.files.some(({ version }) => unyanked.has(version)) ? newRun(run.files) : run))
  }
  return {
    runs,
    fileCount,
    versions,
    versionList: versions === before.versions ? before.versionList : sortVersions(versions),
  }
}

async function changedVersions(
  reader: Reader,
  before: ReadonlyMap<string, ProjectVersion>,
  changes: readonly TouchedKey[],
): Promise<ReadonlyMap<string, ProjectVersion>> {
  let versions: Map<string, ProjectVersion> | undefined
  for (const { family, segments } of changes) {
    if (family !== keys.version.family) continue
    const [, , , version = ''] = segments
    versions ??= new Map(before)
    const value = await reader.get(keys.version(keys.version.params(segments)))
    if (value === undefined) versions.delete(version)
    else versions.set(version, { version, key: versionSortKey(version), yanked: value.yanked })
  }
  return versions ?? before
}

/** Versions whose files read differently now because the version was yanked or no longer is. */
function versionsYankedOtherwise(
  before: ReadonlyMap<string, ProjectVersion>,
  after: ReadonlyMap<string, ProjectVersion>,
): ReadonlySet<string> {
  if (before === after) return new Set()
  return new Set([...after.values()].filter(({ version, yanked }) => before.get(version)?.yanked !== yanked).map(({ version }) => version))
}



/** The runs with `file` at its place, instead of the one that was there; without it when undefined. */
function replaceFile(
  runs: readonly FileRun[],
  place: FileOrder,
  file: ProjectFile | undefined,
): { readonly runs: readonly FileRun[]; readonly difference: number } {
  const at = Math.max(0, firstIndex(runs.length, (run) => isBehind(runs[run]?.files[0], place)) - 1)
  const files = [...(runs[at]?.files ?? [])]
  const position = firstIndex(files.length, (index) => !isBefore(files[index], place))
  const present = files[position]
  const replaces = present !== undefined && !isBehind(present, place)
  files.splice(position, replaces ? 1 : 0, ...(file === undefined ? [] : [file]))
  const difference = (file === undefined ? 0 : 1) - (replaces ? 1 : 0)
  return { runs: [...runs.slice(0, at), ...splitRun(files), ...runs.slice(at + 1)], difference }
}

function splitRun(files: readonly ProjectFile[]): FileRun[] {
  if (files.length === 0) return []
  if (files.length <= 2 * FILES_IN_RUN) return [newRun(files)]
  const middle = files.length >> 1
  return [newRun(files.slice(0, middle)), newRun(files.slice(middle))]
}

function newRun(files: readonly ProjectFile[]): FileRun {
  return { files, rendered: new Map() }
}

function isBefore(file: ProjectFile | undefined, place: FileOrder): boolean {
  return file !== undefined && compareFiles(file, place) < 0
}

function isBehind(file: ProjectFile | undefined, place: FileOrder): boolean {
  return file !== undefined && compareFiles(file, place) > 0
}

/** The first index below `length` for which `holds` is true; `holds` is false up to there and true from there on. */
function firstIndex(length: number, holds: (index: number) => boolean): number {
  let low = 0
  let high = length
  while (low < high) {
    const middle = (low + high) >> 1
    if (holds(middle)) high = middle
    else low = middle + 1
  }
  return low
}

function sortVersions(versions: ReadonlyMap<string, ProjectVersion>): ProjectVersion[] {
  return [...versions.values()].sort(compareProjectVersions)
}
