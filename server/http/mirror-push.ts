import { createHash } from 'node:crypto'
import type { Response } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import type { Origin } from '#log-format/entry.js'
import type { MetadataValue } from '#log-format/values.js'
import { versionIdentity } from '#log-format/version.js'
import { indexName } from '#server/commands/lookups.js'
import { type FetchedFile, type MirroredRelease, pushMirroredRelease, type PushMirrored, requireRoom, requireUnchanged, selectMirroredFiles } from '#server/commands/mirror-pushes.js'
import type { MirroredFile } from '#server/commands/mirrors.js'
import { requireTarget } from '#server/commands/pushes.js'
import { agreeOnIdentity, metadataFromCore } from '#server/packaging/core-metadata.js'
import { type ArchivedMetadata, readCoreMetadata } from '#server/packaging/dist-archive.js'
import { normalizeProjectName } from '#server/packaging/project-name.js'
import type { Deps } from './deps.js'
import { HeldBlobs } from './held-blobs.js'
import { holdMirroredFile } from './mirror-download.js'
import { RequestAborted } from './request-body.js'
import { sendResult } from './respond.js'

/**
 * Copies a release from a mirror to an index. What is not stored of it is
 * fetched first, file by file, and held until the entry names it. Nothing is
 * pushed unless all of it can be had: refuses `upstream-failed` otherwise.
 */
export async function pushFromMirror(deps: Deps, response: Response, { push, origin }: { readonly push: PushMirrored; readonly origin: Origin }): Promise<void> {
  await requireTarget(deps.storage.reader(), push)
  const files = await findFiles(deps, push)
  await requireRoom(deps.storage.reader(), push, files)
  using held = new HeldBlobs()
  const fetched = await fetchFiles(deps, response, { release: push, files, held })
  const input = { ...push, files: fetched.map(({ file }) => file), metadata: metadataOf(fetched) }
  const { result, serial } = await deps.storage.transact({ ...origin, time: deps.now() }, (tx) => pushMirroredRelease(tx, input))
  sendResult(response, { type: 'actionlog', result, serial })
}

/** A file that was fetched, with what it says of itself. */
export interface ReadFile {
  readonly file: FetchedFile
  readonly metadata: MetadataValue
}

/**
 * The files of a release of a mirror, those of them fetched that are not
 * stored, and all of them held. Refuses as {@link pushFromMirror} does, also
 * what is no more as it was when the files were fetched.
 */
export async function fetchRelease(deps: Deps, response: Response, { release, held }: { readonly release: MirroredRelease; readonly held: HeldBlobs }): Promise<readonly ReadFile[]> {
  const fetched = await fetchFiles(deps, response, { release, files: await findFiles(deps, release), held })
  await requireUnchanged(deps.storage.reader(), { ...release, files: fetched.map(({ file }) => file) }, deps.now())
  return fetched
}

/** What is known of the release: the first of its files that says something of itself speaks for all. */
export function metadataOf(files: readonly ReadFile[]): MetadataValue {
  return files.find(({ metadata }) => Object.keys(metadata).length > 0)?.metadata ?? {}
}

async function findFiles(deps: Deps, release: MirroredRelease): Promise<readonly MirroredFile[]> {
  const asked = await deps.mirrors.ensure(release.mirror, release.project)
  const files = await selectMirroredFiles(deps.storage.reader(), release, deps.now())
  if (files !== undefined) return files
  if (asked.kind === 'failed') throw asked.refusal
  throw new Refusal('invalid', `there are no files for ${release.project} ${release.version} on stage ${indexName(release)}`)
}

interface Fetching {
  readonly release: MirroredRelease
  readonly files: readonly MirroredFile[]
  readonly held: HeldBlobs
}

async function fetchFiles(deps: Deps, response: Response, { release, files, held }: Fetching): Promise<readonly ReadFile[]> {
  response.setTimeout(0) // nothing goes out while the upstream takes its time
  const fetched: ReadFile[] = []
  for (const file of files) {
    if (response.closed) throw new RequestAborted()
    fetched.push(await fetchFile(deps, release, file, held))
  }
  return fetched
}

async function fetchFile(deps: Deps, { mirror }: MirroredRelease, file: MirroredFile, held: HeldBlobs): Promise<ReadFile> {
  const { basename, project, value } = file
  const blob = await holdMirroredFile(deps, { mirror, basename, project, dir: value.dir, content: value }).catch((error: unknown) => refuseFile(basename, error))
  held.add(blob)
  const content = { sha256: blob.sha256, size: blob.size }
  const archived = await lookInto(deps, content.sha256, file)
  if (archived.kind === 'absent') return { file: { ...file, content }, metadata: {} }
  const metadata = metadataFromCore(archived.metadata)
  const { requires_python: requiresPython } = metadata
  return {
    metadata,
    file: {
      ...file,
      content,
      ...(typeof requiresPython === 'string' && { requiresPython }),
      ...(basename.toLowerCase().endsWith('.whl') && { coreMetadata: { sha256: createHash('sha256').update(archived.bytes).digest('hex'), size: archived.bytes.length } }),
    },
  }
}

/** What the file says of itself. The upstream decided what it takes: one that cannot be read, or is of another release, is copied as it is and says nothing. */
async function lookInto(deps: Deps, sha256: string, { basename, project, value }: MirroredFile): Promise<ArchivedMetadata> {
  const blob = await deps.blobs.open(sha256)
  if (blob === undefined) throw new Error(`the blob ${sha256} is held and missing`)
  try {
    const archived = await readCoreMetadata(blob, basename)
    if (archived.kind === 'found') agreeOnIdentity(archived.metadata, { project, version: value.version }, { normalizeName: normalizeProjectName, canonicalVersion: versionIdentity })
    return archived
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return { kind: 'absent' }
  } finally {
    await blob.close()
  }
}

/** Who pushes asked for a release that there is: that its upstream has the file no more is the upstream's failing. */
function refuseFile(basename: string, error: unknown): never {
  if (!(error instanceof Refusal) || (error.kind !== 'not-found' && error.kind !== 'upstream-failed')) throw error
  throw new Refusal('upstream-failed', `${basename} could not be fetched, and nothing was pushed: ${error.message}`, { cause: error })
}
