import { keys } from '#log-format/keys.js'
import type { IndexValue, MirrorFileValue, MirrorIndexValue, ProjectValue } from '#log-format/values.js'
import type { Reader } from '#server/storage/reader.js'
import type { Transaction } from '#server/storage/transaction.js'
import { type FileRef, type IndexRef, type ProjectRef, splitDir } from './lookups.js'
import { differenceOf, type MirrorPage, upstreamUrls } from './mirror-differences.js'

/** A mirror as it was when its upstream was asked. */
export interface AskedMirror extends IndexRef {
  readonly value: MirrorIndexValue
}

/** Undefined for an index that is none. */
export function asMirror({ user, index, value }: IndexRef & { readonly value: IndexValue }): AskedMirror | undefined {
  return value.type === 'mirror' ? { user, index, value } : undefined
}

/** Whether an entry has to be written for what the upstream said. */
export async function differsFromMirror(reader: Reader, mirror: AskedMirror, page: MirrorPage, time: number): Promise<boolean> {
  if ((await reader.get(keys.project(page))) === undefined) return true
  return (await differenceOf(reader, mirror.value, page, time)).isDue
}

/** A digest that an upstream states of a file of which another one stated another digest before. */
export interface Disagreement {
  readonly basename: string
  /** Which stands. */
  readonly sha256: string
  readonly upstream: string
  readonly stated: string
}

/**
 * Takes over what an upstream of a mirror says of a project; what it has no
 * more is marked, and stays to be had by its address. Changes nothing on an
 * index that is not the one whose upstream was asked. Resolves with what the
 * upstream contradicts that it did not contradict before.
 */
export async function changeMirrorProject(tx: Transaction, mirror: AskedMirror, page: MirrorPage): Promise<readonly Disagreement[]> {
  if (!isSameMirror(await tx.get(keys.index(mirror)), mirror.value)) return []
  const { user, index, project, upstream } = page
  const { isDue, project: value, set } = await differenceOf(tx, mirror.value, page, tx.time)
  if (!isDue) return []
  tx.set(keys.project({ user, index, project }), value)
  const said: { readonly added: string[]; readonly removed: string[]; readonly changed: string[] } = { added: [], removed: [], changed: [] }
  const disagreements: Disagreement[] = []
  const paths = Array.from(set, ([basename, { value }]) => keys.mirrorPath({ user, index, basename, ...splitDir(value.dir) }))
  const looking = tx.prefetch(paths)
  looking.catch(() => undefined) // thrown below, unless something else is before
  for (const [basename, { value, before }] of set) {
    if (before !== undefined && before.dir !== value.dir) tx.delete(keys.mirrorPath({ user, index, basename, ...splitDir(before.dir) }))
    tx.set(keys.mirrorFile({ user, index, project, basename }), value)
    said[value.gone !== undefined && before?.gone === undefined ? 'removed' : before === undefined ? 'added' : 'changed'].push(basename)
    const stated = value.otherDigests?.[upstream]
    if (stated !== undefined && stated !== before?.otherDigests?.[upstream]) disagreements.push({ basename, sha256: value.sha256 ?? '', upstream, stated })
  }
  await looking
  for (const path of paths) tx.set(path, { project })
  const { changed, ...names } = said
  const disagreed = disagreements.map(({ basename }) => basename)
  tx.record({ kind: 'mirror-project-changed', user, index, project, ...names, ...(changed.length > 0 && { changed }), ...(disagreed.length > 0 && { disagreed }) })
  return disagreements
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

/** Notes that the metadata of a wheel cannot be read out of it, so that nobody is told to ask for it. */
export async function noteUnreadable(tx: Transaction, input: ProjectRef & { readonly basename: string; readonly url: string }): Promise<void> {
  const { user, index, project, basename, url } = input
  const key = keys.mirrorFile(input)
  const value = await tx.get(key)
  if (value?.url !== url || value.noMetadata === true) return
  tx.set(key, { ...value, noMetadata: true })
  tx.record({ kind: 'mirror-project-changed', user, index, project, added: [], removed: [], changed: [basename] })
}

/** Of a wheel that can be fetched whole while somebody waits for its metadata, over 4 Mbit/s, too. */
const MOST_WHOLE_BYTES = 5 * 2 ** 20

/**
 * Whether the metadata of a mirrored wheel is offered though its upstream
 * states no digest of it, because it can be read out of the wheel here: out of the
 * tail of one that lies at the very origin of the upstream that told of it,
 * out of the whole of any other. Of a large one of those it is not, nor of one
 * of unknown size: who wants it and has to wait for the wheel is better off
 * with the wheel as it arrives, and installers take a failure of what was
 * offered for a failure of all. `teller` is the upstream that the project names.
 */
export function offersMetadataOf(
  basename: string,
  { url, upstream, noMetadata, size = Infinity }: { readonly url: string; readonly upstream?: string | undefined; readonly noMetadata?: boolean; readonly size?: number | undefined },
  teller: string | undefined,
): boolean {
  const told = upstream ?? teller
  if (noMetadata === true || told === undefined || !/\.whl$/i.test(basename)) return false
  return isAtOrigin(url, told) || size <= MOST_WHOLE_BYTES
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
export function enteredAt({ seen, time = seen }: { readonly seen: number; readonly time?: number | undefined }, project: Pick<ProjectValue, 'created'>): number {
  return seen === project.created ? time : Math.max(time, seen)
}

/** Whether an index is still the mirror of the same upstreams, asked in the same order. */
export function isSameMirror(now: IndexValue | undefined, asked: MirrorIndexValue): boolean {
  return now?.type === 'mirror' && now.created === asked.created && upstreamUrls(now).join('\n') === upstreamUrls(asked).join('\n')
}

/** `url` is as `URL` writes it, without user; pages have thousands, and nearly all settings are written so, too. */
function isAtOrigin(url: string, told: string): boolean {
  const [stated = ''] = /^https?:\/\/[^/?#]+/.exec(told) ?? []
  return url.startsWith(`${stated}/`) || (URL.canParse(told) && new URL(url).origin === new URL(told).origin)
}
