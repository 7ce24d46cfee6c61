import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import type { IndexValue, ProjectValue, StageIndexValue, UserValue, VersionValue } from '#log-format/values.js'
import { isPep440, sortVersionsDescending, versionIdentity } from '#log-format/version.js'
import type { Reader } from '#server/storage/reader.js'

export interface UserRef {
  readonly user: string
}
export interface IndexRef extends UserRef {
  readonly index: string
}
/** `project` in normal form. */
export interface ProjectRef extends IndexRef {
  readonly project: string
}
export interface VersionRef extends ProjectRef {
  readonly version: string
}
/** A public file path: `{user}/{index}/+f/{dirA}/{dirB}/{basename}`. */
export interface FileRef extends IndexRef {
  readonly dirA: string
  readonly dirB: string
  readonly basename: string
}

/** `user/index`, as settings and messages name an index. */
export function indexName({ user, index }: IndexRef): string {
  return `${user}/${index}`
}

/** The path of a file as messages and replies name it, without a slash in front. */
export function filePath(ref: FileRef): string {
  return `${ref.user}/${ref.index}/+f/${ref.dirA}/${ref.dirB}/${ref.basename}`
}

/** What the documentation of a version is called, however the upload called it. */
export function docsBasename({ project, version }: VersionRef): string {
  return `${project}-${version}.doc.zip`
}

/** The folders of a file's public path out of `abc/0123456789abc`. */
export function splitDir(dir: string): { readonly dirA: string; readonly dirB: string } {
  const [dirA = '', dirB = ''] = dir.split('/')
  return { dirA, dirB }
}

export async function requireUser(reader: Reader, ref: UserRef): Promise<UserValue> {
  const user = await reader.get(keys.user(ref))
  if (user === undefined) throw new Refusal('not-found', `no user '${ref.user}'`)
  return user
}

export async function requireIndex(reader: Reader, ref: IndexRef): Promise<IndexValue> {
  const index = await reader.get(keys.index(ref))
  if (index === undefined) throw new Refusal('not-found', `The stage ${indexName(ref)} could not be found.`)
  return index
}

/** Renamings followed, one after the other. No chain is a circle: an index that gets a name ends what led from it. */
const MOST_RENAMINGS = 100

/** Where an index went that was renamed and whose name no other has; undefined where that is not so. */
export async function renamedTo(reader: Reader, ref: IndexRef): Promise<IndexRef | undefined> {
  let at = ref
  for (let step = 0; step < MOST_RENAMINGS; step += 1) {
    if ((await reader.get(keys.index(at))) !== undefined) break
    const renamed = await reader.get(keys.renamed(at))
    if (renamed === undefined) break
    at = { user: ref.user, index: renamed.to }
  }
  return at === ref ? undefined : at
}

/** An index that takes uploads; refuses `not-found` for a mirror, as clients expect. */
export async function requireStage(reader: Reader, ref: IndexRef): Promise<StageIndexValue> {
  const index = await requireIndex(reader, ref)
  if (index.type !== 'stage') {
    throw new Refusal('not-found', 'cannot submit to mirror index', { form: 'reason' })
  }
  return index
}

/** Refuses `forbidden` to decide for the upstream of a mirror what is released there. */
export function refuseOnMirror(ref: IndexRef, { type }: { readonly type: IndexValue['type'] }): void {
  if (type !== 'mirror') return
  throw new Refusal('forbidden', `the upstream of mirror ${indexName(ref)} decides which files and versions there are, and which of them are yanked`)
}

export async function requireProject(reader: Reader, ref: ProjectRef): Promise<ProjectValue> {
  const project = await reader.get(keys.project(ref))
  if (project === undefined) {
    throw new Refusal('not-found', `project '${ref.project}' not found on stage '${indexName(ref)}'`)
  }
  return project
}

/** The versions that the index itself has of a project, the newest first. */
export async function listVersionsOf(reader: Reader, ref: ProjectRef): Promise<string[]> {
  const versions: string[] = []
  for await (const { segments } of reader.scan(keys.version.under(ref.user, ref.index, ref.project))) {
    versions.push(keys.version.params(segments).version)
  }
  return sortVersionsDescending(versions)
}

/** The version as the index spells it. */
export async function requireVersion(reader: Reader, ref: VersionRef): Promise<VersionRef & { readonly value: VersionValue }> {
  await requireProject(reader, ref)
  const found = await findVersion(reader, ref)
  if (found === undefined) {
    throw new Refusal(
      'not-found',
      `version '${ref.version}' of project '${ref.project}' not found on stage '${indexName(ref)}'`,
    )
  }
  return found
}

/**
 * How a version is spelled on the index: as asked for, or the spelling of an
 * equal version of PEP 440, with what is kept of it; undefined when there is none.
 */
export async function findVersion(reader: Reader, ref: VersionRef): Promise<(VersionRef & { readonly value: VersionValue }) | undefined> {
  const value = await reader.get(keys.version(ref))
  if (value !== undefined) return { ...ref, value }
  if (!isPep440(ref.version)) return undefined
  const spelling = await reader.get(keys.spelling({ ...ref, identity: versionIdentity(ref.version) }))
  const equal = spelling && (await reader.get(keys.version({ ...ref, version: spelling.version })))
  return equal && { ...ref, version: spelling.version, value: equal }
}
