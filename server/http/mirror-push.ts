import { createHash } from 'node:crypto'
import type { Response } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import type { Origin } from '#log-format/entry.js'
import type { MetadataValue } from '#log-format/values.js'
import { versionIdentity } from '#log-format/version.js'
import { indexName } from '#server/commands/lookups.js'
import { type FetchedFile, pushMirroredRelease, type PushMirrored, selectMirroredFiles } from '#server/commands/mirror-pushes.js'
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
  const asked = await deps.mirrors.ensure(push.mirror, push.project)
  const files = await selectMirroredFiles(deps.storage.reader(), push, deps.now())
  if (files === undefined) {
    if (asked.kind === 'failed') throw asked.refusal
    throw new Refusal('invalid', `there are no files for ${push.project} ${push.version} on stage ${indexName(push)}`)
  }
  response.setTimeout(0) // nothing goes out while the upstream takes its time
  using held = new HeldBlobs()
  const fetched: FetchedFile[] = []
  let metadata: MetadataValue = {}
  for (const file of files) {
    if (response.closed) throw new RequestAborted()
    const found = await fetchFile(deps, push, file, held)
    fetched.push(found.file)
    if (Object.keys(metadata).length === 0) metadata = found.metadata
  }
  const input = { ...push, files: fetched, metadata }
  const { result, serial } = await deps.storage.transact({ ...origin, time: deps.now() }, (tx) => pushMirroredRelease(tx, input))
  sendResult(response, { type: 'actionlog', result, serial })
}

async function fetchFile(deps: Deps, push: PushMirrored, file: MirroredFile, held: HeldBlobs): Promise<{ readonly file: FetchedFile; readonly metadata: MetadataValue }> {
  const { basename, project, value } = file
  const blob = await holdMirroredFile(deps, { mirror: push.mirror, basename, project, dir: value.dir, content: value }).catch((error: unknown) => refuseFile(basename, error))
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
