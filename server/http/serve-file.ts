import type { IncomingMessage, ServerResponse } from 'node:http'
import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import type { FileValue } from '#log-format/values.js'
import { linksAt } from '#server/commands/files.js'
import type { FileRef } from '#server/commands/lookups.js'
import { lastNamed } from '#server/projections/blob-references.js'
import { contentTypeOf } from '#server/packaging/filename.js'
import { authorizeRead } from '#server/commands/read-rights.js'
import { type PolicyOfIndex, requireShown, requireShownFile } from '#server/commands/shown-files.js'
import { hasPolicy } from '#server/packaging/release-policy.js'
import type { BlobStore } from '#server/storage/blob-store.js'
import type { Reader } from '#server/storage/reader.js'
import { callerOf } from './authenticate.js'
import { FILE_CACHE_CONTROL, formatHttpDate, RESTRICTED_FILE_CACHE_CONTROL } from './caching.js'
import type { Deps } from './deps.js'
import { fetchedBlobs, sendMissing } from './fetched-blobs.js'
import { type FileBody, sendFile } from './file-body.js'
import { findMirrored, mirroredMeta, sendMirroredFile } from './mirrored-file.js'
import { metadataOfWheel } from './wheel-metadata.js'
import { wantsJson } from './negotiate.js'
import { sendResult, setSerial } from './respond.js'
import { timeAgo } from './time-ago.js'

const METADATA_SUFFIX = '.metadata'

/** The refusal of a path that was never handed out. */
export function noSuchFile(): Refusal {
  return new Refusal('not-found', 'no such file')
}

/**
 * Answers GET or HEAD of a public file path, its `.metadata` sibling included
 * (PEP 658): as of `reader`, head unless told otherwise. Nothing, not even
 * whether the file exists, is revealed to who may not read the index now.
 * Refuses `not-found`, `gone` what was there before, and
 * `forbidden` what the present policy of the index hides.
 */
export async function serveFile(
  deps: Deps,
  request: IncomingMessage,
  response: ServerResponse,
  ref: FileRef,
  { reader: past }: { readonly reader?: Reader } = {},
): Promise<void> {
  const current = deps.storage.reader()
  const reader = past ?? current
  const index = await reader.get(keys.index(ref))
  const settings = index && (await authorizeRead(reader, current, { ...ref, value: index }, await callerOf(deps, request)))
  setSerial(response, reader.serial)
  const policy = { user: ref.user, index: ref.index, settings: settings ?? {}, now: deps.now() }
  const isPublic = settings?.acl_read === undefined && !hasPolicy(policy.settings)
  const cacheControl = isPublic ? FILE_CACHE_CONTROL : RESTRICTED_FILE_CACHE_CONTROL
  if (index?.type === 'mirror') {
    const mirrored = await findMirrored(reader, { ...ref, value: index })
    if (mirrored === undefined) throw noSuchFile()
    requireShown(policy, mirrored, [mirrored.judged])
    if (mirrored.file !== undefined && wantsJson(request)) {
      sendFileMeta(response, mirroredMeta(mirrored.project, mirrored.file), reader)
      return
    }
    await sendMirroredFile(deps, request, response, { file: mirrored, cacheControl })
    return
  }
  const served = isMetadataPath(ref) ? await metadataAt(deps, reader, ref, policy) : await fileAt(reader, ref, policy)
  if (served.file !== undefined && wantsJson(request)) {
    sendFileMeta(response, metaOf(served.file), reader)
    return
  }
  const file: FileBody = {
    sha256: served.sha256,
    size: served.size,
    contentType: contentTypeOf(ref.basename),
    lastModifiedMs: served.lastModified,
    headers: { 'Cache-Control': cacheControl },
  }
  const source = { blobs: served.blobs ?? keptBlobs(deps), cache: deps.smallFiles, hot: deps.hotFiles, idleTimeoutMs: deps.limits.idleTimeoutMs }
  if (served.blobs === undefined && (await sendMissing(deps, request, response, file))) return
  await sendFile(request, response, file, source)
  if (isPublic && reader === current) await deps.files.remember(request, { ref, project: served.project, file, reader })
}

/** A content to send, and the file it is unless it lies beside one. */
interface Served extends Pick<FileValue, 'sha256' | 'size' | 'lastModified' | 'project'> {
  readonly file?: FileValue
  /** Where it is, unless it is a blob. */
  readonly blobs?: Pick<BlobStore, 'open'>
}

async function fileAt(reader: Reader, ref: FileRef, policy: PolicyOfIndex): Promise<Served> {
  const file = await requireFile(reader, ref)
  await requireShownFile(reader, policy, ref, file)
  return { ...file, file }
}

/** Of a file that has a name: `.metadata` alone lies beside nothing. */
function isMetadataPath({ basename }: FileRef): boolean {
  return basename.endsWith(METADATA_SUFFIX) && basename !== METADATA_SUFFIX
}

async function metadataAt(deps: Deps, reader: Reader, ref: FileRef, policy: PolicyOfIndex): Promise<Served> {
  const fileRef = { ...ref, basename: ref.basename.slice(0, -METADATA_SUFFIX.length) }
  const file = await requireFile(reader, fileRef)
  await requireShownFile(reader, policy, fileRef, file)
  const links = await linksAt(reader, fileRef, file)
  const metadata = links.find(({ link }) => link.coreMetadata !== undefined)?.link.coreMetadata
  if (metadata === undefined) throw noSuchFile()
  const blobs = metadataOfWheel(keptBlobs(deps), { sha256: file.sha256, filename: fileRef.basename })
  return { ...metadata, lastModified: file.lastModified, project: file.project, blobs }
}

async function requireFile(reader: Reader, ref: FileRef): Promise<FileValue> {
  const key = keys.file(ref)
  const file = await reader.get(key)
  if (file !== undefined) return file
  throw (await reader.existed(key)) ? new Refusal('gone', 'file existed, deleted in later serial') : noSuchFile()
}

/** Says of a blob that the sweep took when the last link to it was removed. */
function keptBlobs({ blobs, fetches, storage, now }: Deps): Pick<BlobStore, 'open'> {
  const fetched = fetchedBlobs(blobs, fetches)
  return {
    open: async (sha256) => {
      const blob = await fetched.open(sha256)
      if (blob !== undefined) return blob
      const last = await lastNamed(storage, sha256)
      if (typeof last !== 'number') return undefined
      throw new Refusal('gone', `the file was removed ${timeAgo(now() - last)} and is no longer kept`)
    },
  }
}

function sendFileMeta(response: ServerResponse, result: object, { serial }: Reader): void {
  response.setHeader('Cache-Control', 'no-store') // the same URL is a file for everybody else
  sendResult(response, { type: 'releasefilemeta', result, serial })
}

/** `spec/server-http.md` 12.4. */
function metaOf({ sha256, lastModified, project, versions: [version] }: FileValue): object {
  return { last_modified: formatHttpDate(lastModified), hash_spec: `sha256=${sha256}`, hashes: { sha256 }, project, version }
}
