import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { keys } from '#log-format/keys.js'
import { checkFileBasename } from '#log-format/names.js'
import type { IndexValue, MirrorFileValue, MirrorIndexValue, ProjectValue } from '#log-format/values.js'
import { parseFilename } from '#server/packaging/filename.js'
import { normalizeProjectName } from '#server/packaging/project-name.js'
import type { SimpleFile } from '#server/packaging/simple-page.js'
import type { Reader } from '#server/storage/reader.js'
import type { Transaction } from '#server/storage/transaction.js'
import { type FileRef, type IndexRef, type ProjectRef, splitDir } from './lookups.js'

/** A mirror as it was when its upstream was asked. */
export interface AskedMirror extends IndexRef {
  readonly value: MirrorIndexValue
}

/** Undefined for an index that is none. */
export function asMirror({ user, index, value }: IndexRef & { readonly value: IndexValue }): AskedMirror | undefined {
  return value.type === 'mirror' ? { user, index, value } : undefined
}

/** What the upstream said of a project; `url` of each file is absolute. */
export interface MirrorPage extends ProjectRef {
  readonly files: readonly SimpleFile[]
}

/** How what is stored of a project differs from what the upstream says. */
interface MirrorDifference {
  readonly isNew: boolean
  readonly set: ReadonlyMap<string, { readonly value: MirrorFileValue; readonly before: MirrorFileValue | undefined }>
}

/** Whether an entry has to be written for what the upstream said. */
export async function differsFromMirror(reader: Reader, page: MirrorPage, time: number): Promise<boolean> {
  if ((await reader.get(keys.project(page))) === undefined) return true
  return (await differenceOf(reader, page, time)).set.size > 0
}

/**
 * Takes over what the upstream of a mirror says of a project; what it has no
 * more is marked, and stays to be had by its address. Changes nothing on an
 * index that is not the one whose upstream was asked.
 */
export async function changeMirrorProject(tx: Transaction, mirror: AskedMirror, page: MirrorPage): Promise<void> {
  if (!isSameMirror(await tx.get(keys.index(mirror)), mirror.value)) return
  const { user, index, project } = page
  const { isNew, set } = await differenceOf(tx, page, tx.time)
  if (!isNew && set.size === 0) return
  if (isNew) tx.set(keys.project(page), { name: project, created: tx.time })
  const said: { readonly added: string[]; readonly removed: string[]; readonly changed: string[] } = { added: [], removed: [], changed: [] }
  for (const [basename, { value, before }] of set) {
    if (before !== undefined && before.dir !== value.dir) tx.delete(keys.mirrorPath({ user, index, basename, ...splitDir(before.dir) }))
    tx.set(keys.mirrorFile({ user, index, project, basename }), value)
    tx.set(keys.mirrorPath({ user, index, basename, ...splitDir(value.dir) }), { project })
    said[value.gone !== undefined ? 'removed' : before === undefined ? 'added' : 'changed'].push(basename)
  }
  const { changed, ...names } = said
  tx.record({ kind: 'mirror-project-changed', user, index, project, ...names, ...(changed.length > 0 && { changed }) })
}

/** Notes the digest and size that were found by downloading a file of which the upstream stated none. */
export async function noteMirrorDigest(
  tx: Transaction,
  input: ProjectRef & { readonly basename: string; readonly url: string; readonly sha256: string; readonly size: number },
): Promise<void> {
  const { user, index, project, basename, url, sha256, size } = input
  const key = keys.mirrorFile(input)
  const value = await tx.get(key)
  if (value?.url !== url || value.sha256 !== undefined) return
  tx.set(key, { ...value, sha256, size })
  tx.record({ kind: 'mirror-project-changed', user, index, project, added: [], removed: [], changed: [basename] })
}

export interface MirroredFile extends ProjectRef {
  readonly basename: string
  readonly value: MirrorFileValue
}

/** The mirrored file at a public path; undefined where there is none. */
export async function findMirroredFile(reader: Reader, ref: FileRef): Promise<MirroredFile | undefined> {
  const path = await reader.get(keys.mirrorPath(ref))
  if (path === undefined) return undefined
  const file = { user: ref.user, index: ref.index, project: path.project, basename: ref.basename }
  const value = await reader.get(keys.mirrorFile(file))
  return value?.dir === `${ref.dirA}/${ref.dirB}` ? { ...file, value } : undefined
}

/**
 * Since when a file counts as being there: from the later of when the upstream
 * says it got it and when it was first seen here, and from the latter where
 * the upstream says nothing. Of what came together with its project, which
 * nobody watched before, the word of the upstream is all there is.
 */
export function enteredAt({ seen, time = seen }: MirrorFileValue, project: Pick<ProjectValue, 'created'>): number {
  return seen === project.created ? time : Math.max(time, seen)
}

/** Whether an index is still the mirror of the same upstream. */
export function isSameMirror(now: { readonly type: string; readonly created: number; readonly mirror_url?: string } | undefined, asked: MirrorIndexValue): boolean {
  return now?.type === 'mirror' && now.created === asked.created && now.mirror_url === asked.mirror_url
}

async function differenceOf(reader: Reader, page: MirrorPage, time: number): Promise<MirrorDifference> {
  const before = new Map<string, MirrorFileValue>()
  for await (const { segments, value } of reader.scan(keys.mirrorFile.under(page.user, page.index, page.project))) {
    before.set(keys.mirrorFile.params(segments).basename, value)
  }
  const set = new Map<string, { readonly value: MirrorFileValue; readonly before: MirrorFileValue | undefined }>()
  const seen = new Set<string>()
  for (const file of page.files) {
    const found = before.get(file.filename)
    const value = seen.has(file.filename) ? undefined : mirrorFileValue(page.project, file, found, time)
    if (value === undefined) continue
    seen.add(file.filename)
    if (!isDeepStrictEqual(value, found)) set.set(file.filename, { value, before: found })
  }
  for (const [basename, found] of before) {
    if (!seen.has(basename) && found.gone === undefined) set.set(basename, { value: { ...found, gone: time }, before: found })
  }
  return { isNew: (await reader.get(keys.project(page))) === undefined, set }
}

/** Undefined for what is no release file of the project, or has a name that cannot stand in a path. */
function mirrorFileValue(project: string, file: SimpleFile, before: MirrorFileValue | undefined, time: number): MirrorFileValue | undefined {
  const version = versionIn(file.filename, project)
  if (version === undefined) return undefined
  const { sha256, md5 } = file.hashes
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/.test(sha256)) return undefined
  const found = before?.url === file.url && sha256 === undefined ? before : undefined // and its digest, which was found by downloading
  const known = sha256 ?? found?.sha256
  const size = file.size ?? found?.size
  const metadata = file.coreMetadata === undefined || file.coreMetadata === true ? undefined : file.coreMetadata['sha256']
  return {
    url: file.url,
    version,
    dir: dirOf(sha256 ?? createHash('sha256').update(file.url).digest('hex')),
    seen: before !== undefined && isSameContent(before, file.url, sha256) ? before.seen : time,
    ...(known !== undefined && { sha256: known }),
    ...(sha256 === undefined && md5 !== undefined && { md5 }),
    ...(size !== undefined && { size }),
    ...(file.uploadTime !== undefined && { time: file.uploadTime }),
    ...(file.requiresPython !== undefined && { requiresPython: file.requiresPython }),
    ...(file.yanked !== undefined && { yanked: file.yanked === true ? '' : file.yanked }),
    ...(metadata !== undefined && /^[0-9a-f]{64}$/.test(metadata) && { coreMetadata: metadata }),
    ...(file.provenance !== undefined && { provenance: file.provenance }),
  }
}

/** Other bytes under a name that is known are as new as a name that is not. */
function isSameContent(before: MirrorFileValue, url: string, sha256: string | undefined): boolean {
  return sha256 === undefined || before.sha256 === undefined ? before.url === url : before.sha256 === sha256
}

function dirOf(digest: string): string {
  return `${digest.slice(0, 3)}/${digest.slice(3, 16)}`
}

function versionIn(filename: string, project: string): string | undefined {
  if (!isSafeName(filename)) return undefined
  const parsed = parseFilename(filename, project)
  if (parsed === undefined || parsed.version === '' || normalizeProjectName(parsed.project) !== project) return undefined
  return parsed.version
}

function isSafeName(filename: string): boolean {
  try {
    checkFileBasename(filename)
    return true
  } catch {
    return false // what nobody may upload here is left out of what an upstream has
  }
}
