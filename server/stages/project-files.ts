import { unpackValue } from '#log-format/codec.js'
import { keys } from '#log-format/keys.js'
import type { ProjectValue, VersionValue } from '#log-format/values.js'
import type { ProjectRef } from '#server/commands/lookups.js'
import { enteredAt, offersMetadataOf } from '#server/commands/mirrors.js'
import type { SimpleFile } from '#server/packaging/simple-page.js'
import { versionSortKey } from '#log-format/version.js'
import type { Reader } from '#server/storage/reader.js'
import { type LinkFields, readLinkFields } from './link-fields.js'
import { type MirrorFields, readMirrorFields } from './mirror-fields.js'

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
  /** This, the size and the time may be unknown of what an upstream has. */
  readonly sha256: string | undefined
  readonly size: number | undefined
  readonly time: number | undefined
  /** Since when it counts as being there, for policies that go by age. */
  readonly entered: number
  readonly requiresPython: string | undefined
  /** PEP 592, of this file alone; a reason may be empty. */
  readonly yanked: string | undefined
  /** sha256; true where it is there and no digest of it is known. */
  readonly coreMetadata: string | true | undefined
  /** PEP 740: a URL. */
  readonly provenance?: string | undefined
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
  const known = await reader.get(keys.project(ref))
  if (known === undefined) return undefined

  // Side by side: each of them is mostly waiting for LevelDB's thread.
  const [versionKeys, links, mirrored] = await Promise.all([
    allOf(reader.scanBatches(keys.version.under(user, index, project), readVersion)),
    allOf(reader.scanBatches(keys.link.under(user, index, project), readLinkFields)),
    allOf(reader.scanBatches(keys.mirrorFile.under(user, index, project), readMirrorFields)),
  ])
  const versions = new Map<string, ProjectVersion>()
  for (const { segments, value } of versionKeys.flat()) {
    const version = segments[3] ?? ''
    versions.set(version, { version, key: versionSortKey(version), yanked: value.yanked })
  }
  const files: ProjectFile[][] = []
  let last = ''
  for (const { segments, value } of links.flat()) {
    const [, , , version = '', basename = ''] = segments
    const found = versions.get(version)
    // The text that the versions have, so that not each file keeps one of its own.
    const file = projectFile(basename, found?.version ?? version, found?.key, value)
    if (file === undefined) continue
    if (files.length === 0 || version !== last) files.push([])
    files.at(-1)?.push(file)
    last = version
  }
  for (const { segments, value } of mirrored.flat()) {
    if (value.isGone) continue
    const version = versions.get(value.version) ?? { version: value.version, key: versionSortKey(value.version), yanked: undefined }
    versions.set(version.version, version)
    files.push([mirroredFile(segments[3] ?? '', version, value, known)])
  }
  return { files: inOrder(files), versions }
}

async function allOf<T>(batches: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const batch of batches) found.push(batch)
  return found
}

function readVersion(bytes: Uint8Array, start: number): Pick<VersionValue, 'yanked'> {
  return unpackValue(bytes.subarray(start)) as Pick<VersionValue, 'yanked'>
}

/** Files of one version come together and mostly in order, so that there is little to sort. */
function inOrder(files: ProjectFile[][]): ProjectFile[] {
  for (const group of files) {
    if (group.some((file, at) => at > 0 && compareTexts(group[at - 1]?.basename ?? '', file.basename) > 0)) group.sort(compareFiles)
  }
  const first = (group: readonly ProjectFile[]): FileOrder => group[0] ?? { version: '', versionKey: '', basename: '' }
  return files.sort((a, b) => compareFiles(first(a), first(b))).flat()
}

/** The file that a link stands for; undefined for documentation and tox results. */
export function projectFile(
  basename: string,
  version: string,
  versionKey: string | undefined,
  { rel, dir, sha256, size, time, requiresPython, yanked, coreMetadata }: LinkFields,
): ProjectFile | undefined {
  if (rel !== 'releasefile') return undefined
  const key = versionKey ?? versionSortKey(version)
  return { basename, version, versionKey: key, dir, sha256, size, time, entered: time, requiresPython, yanked, coreMetadata }
}

function mirroredFile(basename: string, { version, key }: ProjectVersion, value: MirrorFields, known: ProjectValue): ProjectFile {
  const { dir, sha256, size, time, requiresPython, yanked, provenance } = value
  const coreMetadata = value.coreMetadata ?? (offersMetadataOf(basename, value, known.upstream) ? true : undefined)
  const entered = enteredAt(value, known)
  return { basename, version, versionKey: key, dir, sha256, size, time, entered, requiresPython, yanked, coreMetadata, provenance }
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

/** The index that a file on a page belongs to. `folderUrl` is its URL, with a slash behind. */
export interface FileOwner {
  readonly name: string
  readonly folderUrl: string
}

const NO_HASHES = {}

/** The file as a simple page has it; `versionYanked` is what its version says of itself. */
export function simpleFile(file: ProjectFile, owner: FileOwner, versionYanked: string | undefined): SimpleFile {
  const yanked = file.yanked ?? versionYanked
  return {
    filename: file.basename,
    url: `${owner.folderUrl}+f/${file.dir}/${PLAIN.test(file.basename) ? file.basename : encodeURIComponent(file.basename)}`,
    hashes: file.sha256 === undefined ? NO_HASHES : { sha256: file.sha256 },
    size: file.size,
    uploadTime: file.time,
    owner: owner.name,
    requiresPython: file.requiresPython,
    yanked,
    coreMetadata: typeof file.coreMetadata === 'string' ? { sha256: file.coreMetadata } : file.coreMetadata,
    provenance: file.provenance,
  }
}
