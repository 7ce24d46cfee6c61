import { keys } from '#log-format/keys.js'
import type { LinkValue } from '#log-format/values.js'
import type { ProjectRef } from '#server/commands/lookups.js'
import type { SimpleFile } from '#server/packaging/simple-page.js'
import { versionSortKey } from '#server/packaging/version.js'
import type { Reader } from '#server/storage/reader.js'

/** A version of one project on one index, as far as pages tell of it. */
export interface ProjectVersion {
  readonly version: string
  /** Orders versions, see `versionSortKey`. */
  readonly key: string
  /** PEP 592, of the whole version; a reason may be empty. */
  readonly yanked: string | undefined
}

/** A release file of one project on one index, as far as pages tell of it. */
export interface ProjectFile {
  readonly basename: string
  readonly version: string
  readonly versionKey: string
  readonly dir: string
  readonly sha256: string
  readonly size: number
  readonly time: number
  readonly requiresPython: string | undefined
  /** PEP 592, of this file alone; a reason may be empty. */
  readonly yanked: string | undefined
  readonly coreMetadata: string | undefined
}

/** What one index has of one project. */
export interface ProjectFiles {
  /** Newest version first, then by file name. */
  readonly files: readonly ProjectFile[]
  /** By their text, also those without files. */
  readonly versions: ReadonlyMap<string, ProjectVersion>
}

/** Reads a project from the keyspace; undefined where the index does not have it. */
export async function readProjectFiles(reader: Reader, ref: ProjectRef): Promise<ProjectFiles | undefined> {
  const { user, index, project } = ref
  if ((await reader.get(keys.project(ref))) === undefined) return undefined

  const versions = new Map<string, ProjectVersion>()
  for await (const batch of reader.scanBatches(keys.version.under(user, index, project))) {
    for (const { segments, value } of batch) {
      const version = segments[3] ?? ''
      versions.set(version, { version, key: versionSortKey(version), yanked: value.yanked })
    }
  }
  const files: ProjectFile[] = []
  for await (const batch of reader.scanBatches(keys.link.under(user, index, project))) {
    for (const { segments, value } of batch) {
      const version = segments[3] ?? ''
      const file = projectFile(segments[4] ?? '', version, versions.get(version)?.key, value)
      if (file !== undefined) files.push(file)
    }
  }
  return { files: files.sort(compareFiles), versions }
}

/** The file that a link stands for; undefined for documentation and tox results. */
export function projectFile(
  basename: string,
  version: string,
  versionKey: string | undefined,
  link: LinkValue,
): ProjectFile | undefined {
  if (link.rel !== 'releasefile') return undefined
  return {
    basename,
    version,
    versionKey: versionKey ?? versionSortKey(version),
    dir: link.dir,
    sha256: link.sha256,
    size: link.size,
    time: link.time,
    requiresPython: link.requiresPython,
    yanked: link.yanked,
    coreMetadata: link.coreMetadata?.sha256,
  }
}

/** What the order of files goes by. */
export type FileOrder = Pick<ProjectFile, 'version' | 'versionKey' | 'basename'>

/** Newest version first, spellings of one version together, then by file name. */
export function compareFiles(a: FileOrder, b: FileOrder): number {
  return compareTexts(b.versionKey, a.versionKey) || compareTexts(a.version, b.version) || compareTexts(a.basename, b.basename)
}

/** Ascending. */
export function compareProjectVersions(a: ProjectVersion, b: ProjectVersion): number {
  return compareTexts(a.key, b.key) || compareTexts(b.version, a.version)
}

export function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Stands in a URL as it is. */
const PLAIN = /^[\w.-]*$/

/** The file as a simple page has it. `folderUrl` is the URL of the owning index, with a slash behind. */
export function simpleFile(
  file: ProjectFile,
  owner: { readonly name: string; readonly folderUrl: string; readonly versionYanked: string | undefined },
): SimpleFile {
  const yanked = file.yanked ?? owner.versionYanked
  return {
    filename: file.basename,
    url: `${owner.folderUrl}+f/${file.dir}/${PLAIN.test(file.basename) ? file.basename : encodeURIComponent(file.basename)}`,
    hashes: { sha256: file.sha256 },
    size: file.size,
    uploadTime: file.time,
    owner: owner.name,
    requiresPython: file.requiresPython,
    yanked,
    coreMetadata: file.coreMetadata === undefined ? undefined : { sha256: file.coreMetadata },
  }
}
