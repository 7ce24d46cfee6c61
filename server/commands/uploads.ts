import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import type { LinkValue, MetadataValue } from '#log-format/values.js'
import type { Caller } from '#server/auth/caller.js'
import type { Reader } from '#server/storage/reader.js'
import type { Transaction } from '#server/storage/transaction.js'
import { docsBasename, indexName, type IndexRef, listVersionsOf, type ProjectRef, requireStage, type VersionRef } from './lookups.js'
import {
  checkPlacement,
  dirOf,
  ensureVersion,
  findRelease,
  linkOrder,
  mergeVersionMetadata,
  placeLink,
  type Placement,
} from './releases.js'
import { authorize } from './rights.js'

/** What every form says: a release, and metadata fields for it. */
export interface ReleaseForm extends IndexRef {
  readonly caller: Caller
  /** Normal form. */
  readonly project: string
  /** As the form spells it. */
  readonly name: string
  readonly version: string
  /** Only the fields that were given. */
  readonly metadata: MetadataValue
}

/** A content by its digest, `sha256` in lower-case hex: a blob that lies in the store already, or part of one. */
export interface StoredBlob {
  readonly sha256: string
  readonly size: number
}

export interface UploadFile extends ReleaseForm, StoredBlob {
  readonly basename: string
  readonly requiresPython: string | undefined
  readonly coreMetadata: StoredBlob | undefined
}

/** What a caller must be allowed before the server reads a body from him. */
export async function checkMayUpload(reader: Reader, input: IndexRef & { readonly caller: Caller }): Promise<void> {
  const index = await requireStage(reader, input)
  await authorize(reader, input.caller, 'upload', { user: input.user, index, indexName: input.index })
}

/**
 * Adds a file to a release, which is created when it is new. The same bytes
 * again change nothing; other bytes under the name of a file replace it on a
 * volatile index. Refuses `not-found`, `unauthenticated`, `forbidden`,
 * `conflict`, `invalid`.
 */
export async function uploadFile(tx: Transaction, input: UploadFile): Promise<Placement> {
  const { index, target, before, placement } = await planUpload(tx, input)
  if (placement === 'identical') return placement

  await ensureVersion(tx, target, input.name)
  await mergeVersionMetadata(tx, target, { fields: input.metadata, volatile: index.volatile, onConflict: 'keep' })
  const link: LinkValue = {
    rel: 'releasefile',
    sha256: input.sha256,
    size: input.size,
    dir: dirOf(input.sha256),
    time: tx.time,
    order: linkOrder(tx),
    log: [{ what: 'upload', who: input.caller.user ?? null, when: tx.time, dst: indexName(input) }],
    ...(input.requiresPython && { requiresPython: input.requiresPython }),
    ...(input.coreMetadata && { coreMetadata: input.coreMetadata }),
  }
  await placeLink(tx, { ...target, basename: input.basename }, link, before)
  tx.record({
    kind: 'file-uploaded',
    ...releaseOf(target),
    file: input.basename,
    sha256: input.sha256,
    size: input.size,
    ...(before && { replaced: before.sha256 }),
  })
  return placement
}

/** Refuses what {@link uploadFile} would refuse as things stand, so that no blob is stored for nothing. */
export async function checkUpload(reader: Reader, input: UploadFile): Promise<Placement> {
  return (await planUpload(reader, input)).placement
}

async function planUpload(reader: Reader, input: UploadFile) {
  const index = await requireStage(reader, input)
  await authorize(reader, input.caller, 'upload', { user: input.user, index, indexName: input.index })
  const target = await findRelease(reader, input)
  const before = await reader.get(keys.link({ ...target, basename: input.basename }))
  return { index, target, before, placement: checkPlacement(index, before, input) }
}

/**
 * Registers a version with complete metadata, keeping the files it has.
 * Refuses as {@link uploadFile} does, and `conflict` for an attempt to change
 * metadata on an index that is not volatile.
 */
export async function registerVersion(tx: Transaction, input: ReleaseForm): Promise<void> {
  const index = await requireStage(tx, input)
  await authorize(tx, input.caller, 'upload', { user: input.user, index, indexName: input.index })
  const target = await findRelease(tx, input)
  await ensureVersion(tx, target, input.name)
  const metadata = await mergeVersionMetadata(tx, target, {
    fields: input.metadata,
    volatile: index.volatile,
    onConflict: 'refuse',
  })
  await refreshRequiresPython(tx, target, metadata['requires_python'])
  tx.record({ kind: 'version-registered', ...releaseOf(target) })
}

/** Files that do not carry their own core metadata follow what the version says of Python. */
async function refreshRequiresPython(
  tx: Transaction,
  target: VersionRef,
  wanted: string | readonly string[] | undefined,
): Promise<void> {
  const requiresPython = typeof wanted === 'string' && wanted !== '' ? wanted : undefined
  for await (const { segments, value } of tx.scan(
    keys.link.under(target.user, target.index, target.project, target.version),
  )) {
    if (value.rel !== 'releasefile' || value.coreMetadata !== undefined) continue
    const { requiresPython: _, ...rest } = value
    tx.set(keys.link(keys.link.params(segments)), { ...rest, ...(requiresPython && { requiresPython }) })
  }
}

/** The fields that name a release in a mutation. */
export function releaseOf(ref: VersionRef): VersionRef {
  return { user: ref.user, index: ref.index, project: ref.project, version: ref.version }
}

export interface UploadDocs extends IndexRef, StoredBlob {
  readonly caller: Caller
  readonly project: string
  readonly name: string
  /** Absent: the newest version of the project on this index. */
  readonly version: string | undefined
  readonly metadata: MetadataValue
}

/** Stores the documentation of a version as `{project}-{version}.doc.zip`, in place of the one there is. */
export async function uploadDocs(tx: Transaction, input: UploadDocs): Promise<Placement> {
  const index = await requireStage(tx, input)
  await authorize(tx, input.caller, 'upload', { user: input.user, index, indexName: input.index })
  const version = input.version ?? (await newestVersion(tx, input))
  const target = await findRelease(tx, { ...input, version })
  const basename = docsBasename(target)
  const before = await tx.get(keys.link({ ...target, basename }))
  const placement = checkPlacement(index, before, { basename, sha256: input.sha256 })
  if (placement === 'identical') return placement

  await ensureVersion(tx, target, input.name)
  await mergeVersionMetadata(tx, target, {
    fields: { ...input.metadata, version },
    volatile: index.volatile,
    onConflict: 'keep',
  })
  const link: LinkValue = {
    rel: 'doczip',
    sha256: input.sha256,
    size: input.size,
    dir: dirOf(input.sha256),
    time: tx.time,
    order: linkOrder(tx),
    log: [{ what: 'upload', who: input.caller.user ?? null, when: tx.time, dst: indexName(input) }],
  }
  await placeLink(tx, { ...target, basename }, link, before)
  tx.record({
    kind: 'docs-uploaded',
    ...releaseOf(target),
    file: basename,
    sha256: input.sha256,
    size: input.size,
    ...(before && { replaced: before.sha256 }),
  })
  return placement
}

async function newestVersion(reader: Reader, ref: ProjectRef): Promise<string> {
  const [newest] = await listVersionsOf(reader, ref)
  if (newest === undefined) {
    throw new Refusal('invalid', `doczip has no version and '${ref.project}' has no releases to derive one from`, {
      form: 'reason',
    })
  }
  return newest
}
