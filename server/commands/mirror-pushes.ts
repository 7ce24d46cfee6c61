import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import type { LinkLogEntry, LinkValue, MetadataValue, MirrorFileValue } from '#log-format/values.js'
import { versionIdentity } from '#log-format/version.js'
import type { Reader } from '#server/storage/reader.js'
import type { Transaction } from '#server/storage/transaction.js'
import { filePath, indexName, type IndexRef, splitDir, type VersionRef } from './lookups.js'
import { type AskedMirror, enteredAt, isSameMirror, type MirroredFile } from './mirrors.js'
import { type PushedRow, type PushRelease, requireTarget } from './pushes.js'
import { authorizeRead } from './read-rights.js'
import { checkPlacement, dirOf, ensureVersion, findRelease, linkOrder, mergeVersionMetadata, placeLink } from './releases.js'
import { requireShown } from './shown-files.js'
import { releaseOf, type StoredBlob } from './uploads.js'

/** A release of a mirror, which has neither test reports nor documentation. */
export interface MirroredRelease extends Omit<PushRelease, 'target'> {
  readonly mirror: AskedMirror
}

/** What is pushed from a mirror to an index. */
export interface PushMirrored extends MirroredRelease {
  readonly target: IndexRef
}

/** A release whose files were fetched. */
export interface FetchedRelease extends MirroredRelease {
  readonly files: readonly FetchedFile[]
}

/** A file of a mirror whose bytes lie in the store. */
export interface FetchedFile extends MirroredFile {
  readonly content: StoredBlob
  /** As its own metadata says. */
  readonly requiresPython?: string | undefined
  /** Of a wheel in which it was found. */
  readonly coreMetadata?: StoredBlob | undefined
}

/**
 * The files that a push from a mirror takes along, by name, before their bytes
 * are asked for; undefined where it knows of none. Refuses `forbidden` what a
 * policy hides at the moment `now`, and `not-found` documentation.
 */
export async function selectMirroredFiles(reader: Reader, input: MirroredRelease, now: number): Promise<readonly MirroredFile[] | undefined> {
  const { user, index: mirror, project } = input
  const identity = versionIdentity(input.version)
  const files: MirroredFile[] = []
  for await (const { segments, value } of reader.scan(keys.mirrorFile.under(user, mirror, project))) {
    if (value.gone !== undefined || versionIdentity(value.version) !== identity) continue
    files.push({ user, index: mirror, project, basename: keys.mirrorFile.params(segments).basename, value })
  }
  const [first] = files
  if (first === undefined) return undefined
  if (input.docs === 'only') throw new Refusal('not-found', `no release/files found for ${project} ${first.value.version}`)
  for (const file of files) await requireShownFile(reader, input, file, now)
  return files
}

/** Refuses what {@link pushMirroredRelease} would refuse as things stand, so that nothing is fetched for nothing. */
export async function requireRoom(reader: Reader, input: PushMirrored, files: readonly MirroredFile[]): Promise<void> {
  const index = await requireTarget(reader, input)
  for (const file of files) {
    const { basename, value: { sha256 } } = file
    const target = await findRelease(reader, targetOf(input, file))
    const before = await reader.get(keys.link({ ...target, basename }))
    if (sha256 !== undefined) checkPlacement(index, before, { basename, sha256 })
  }
}

/**
 * Copies a release of a mirror, whose files are in the store, to an index: all
 * of it, or nothing. Refuses `not-found`, `forbidden`, `invalid`, and
 * `conflict` also where the mirror is not what it was when they were fetched.
 */
export async function pushMirroredRelease(
  tx: Transaction,
  input: PushMirrored & FetchedRelease & { readonly metadata: MetadataValue },
): Promise<readonly PushedRow[]> {
  const [first] = input.files
  if (first === undefined) throw new Error('a push without files')
  await requireUnchanged(tx, input, tx.time)
  const index = await requireTarget(tx, input)
  const source = targetOf({ ...input, target: input }, first)
  const target = await findRelease(tx, targetOf(input, first))
  await ensureVersion(tx, target, source.project)
  const requiresPython = input.files.find(({ value }) => value.requiresPython !== undefined)?.value.requiresPython
  const fields = { ...(requiresPython !== undefined && { requires_python: requiresPython }), ...input.metadata, name: source.project, version: source.version }
  await mergeVersionMetadata(tx, target, { fields, volatile: index.volatile, onConflict: 'keep' })

  const rows: PushedRow[] = [[200, 'register', source.project, source.version, '->', indexName(input.target)]]
  for (const [position, file] of input.files.entries()) {
    const { basename, content, value } = file
    const ref = { ...releaseOf(target), basename }
    const before = await tx.get(keys.link(ref))
    const placement = checkPlacement(index, before, { basename, sha256: content.sha256 })
    const link = linkOf(tx, input, file, position)
    rows.push([200, 'store_releasefile', filePath({ ...ref, ...splitDir(link.dir) })])
    if (placement !== 'identical') await placeLink(tx, ref, link, before, value.time ?? value.seen)
  }
  tx.record({ kind: 'release-pushed', ...releaseOf(target), source: indexName(input), files: input.files.map(({ basename }) => basename) })
  return rows
}

/** Refuses what is not so any more: the same upstream, which still has the same files, which the caller may still read, and which no policy hides at the moment `time`. */
export async function requireUnchanged(reader: Reader, input: FetchedRelease, time: number): Promise<void> {
  const { user, index, mirror } = input
  const now = await reader.get(keys.index(mirror))
  if (now === undefined || !isSameMirror(now, mirror.value)) throw new Refusal('conflict', `${indexName(mirror)} became the mirror of something else while the files were fetched`)
  await authorizeRead(reader, reader, { user, index, value: now }, input.caller)
  for (const file of input.files) {
    const value = await reader.get(keys.mirrorFile(file))
    if (value === undefined || value.gone !== undefined || value.sha256 !== file.content.sha256) {
      throw new Refusal('conflict', `the upstream of ${indexName(mirror)} replaced or removed ${file.basename} while it was fetched; push again`)
    }
    await requireShownFile(reader, input, file, time)
  }
}

/** Refuses `forbidden` what the policy of the mirror hides. */
async function requireShownFile(reader: Reader, { user, index, project }: MirroredRelease, file: { readonly project: string; readonly basename: string; readonly value: MirrorFileValue }, now: number): Promise<void> {
  const settings = (await reader.get(keys.index({ user, index }))) ?? {}
  const known = await reader.get(keys.project({ user, index, project }))
  const entered = enteredAt(file.value, known ?? { created: -Infinity })
  requireShown({ user, index, settings, now }, file, [{ version: file.value.version, entered }])
}

/** The release as the first of its files spells it. */
function targetOf({ target }: Pick<PushMirrored, 'target'>, { project, value }: MirroredFile): VersionRef {
  return { user: target.user, index: target.index, project, version: value.version }
}

function linkOf(tx: Transaction, { caller, target, user, index }: PushMirrored, file: FetchedFile, position: number): LinkValue {
  const { content, value, coreMetadata } = file
  const requiresPython = file.requiresPython ?? value.requiresPython
  const pushed: LinkLogEntry = { what: 'push', who: caller.user ?? null, when: tx.time, src: indexName({ user, index }), dst: indexName(target) }
  return {
    rel: 'releasefile',
    sha256: content.sha256,
    size: content.size,
    dir: dirOf(content.sha256),
    time: tx.time,
    order: linkOrder(tx, position),
    log: [pushed],
    ...(requiresPython !== undefined && { requiresPython }),
    ...(value.yanked !== undefined && { yanked: value.yanked }),
    ...(coreMetadata !== undefined && { coreMetadata }),
  }
}
