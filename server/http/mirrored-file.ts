import type { IncomingMessage, ServerResponse } from 'node:http'
import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import type { MirrorFileValue } from '#log-format/values.js'
import type { FileRef } from '#server/commands/lookups.js'
import { type AskedMirror, enteredAt, findMirroredFile, type MirroredFile } from '#server/commands/mirrors.js'
import { contentTypeOf } from '#server/packaging/filename.js'
import type { JudgedFile } from '#server/packaging/release-policy.js'
import type { Reader } from '#server/storage/reader.js'
import type { PinnedBlob } from '#server/storage/blob-store.js'
import { formatHttpDate, isNotModified } from './caching.js'
import type { Deps } from './deps.js'
import { sendFile } from './file-body.js'
import { type FetchableFile, METADATA_SUFFIX, metadataUrl, startDownload } from './mirror-download.js'
import { redirectAway } from './redirect.js'
import { sendDownload } from './send-download.js'
import { hashSpec } from './release-json.js'

/** A file of a mirror, or what is told of one beside it. */
export interface Mirrored extends FetchableFile {
  /** Of the file, or of that which it lies beside: since when it counts as being there. */
  readonly judged: JudgedFile
  /** Undefined for what is told beside a file. */
  readonly file?: MirrorFileValue
}

/** What a mirror has at a public path, the metadata beside a file included (PEP 658). */
export async function findMirrored(reader: Reader, ref: FileRef & AskedMirror): Promise<Mirrored | undefined> {
  const { user, index, value, basename } = ref
  const mirror = { user, index, value }
  const file = await findMirroredFile(reader, ref)
  if (file !== undefined) return { mirror, basename, project: file.project, dir: file.value.dir, judged: await judgedFile(reader, file), file: file.value, content: file.value }
  if (!basename.endsWith(METADATA_SUFFIX)) return undefined
  const beside = await findMirroredFile(reader, { ...ref, basename: basename.slice(0, -METADATA_SUFFIX.length) })
  const sha256 = beside?.value.coreMetadata
  if (beside === undefined || sha256 === undefined) return undefined
  const { dir, url, upstream } = beside.value
  return {
    mirror,
    basename,
    project: beside.project,
    dir,
    judged: await judgedFile(reader, beside),
    content: { url: metadataUrl(url), sha256, ...(upstream !== undefined && { upstream }) },
    beside: { basename: beside.basename, sha256: beside.value.sha256 },
  }
}

async function judgedFile(reader: Reader, { user, index, project, value }: MirroredFile): Promise<JudgedFile> {
  const known = await reader.get(keys.project({ user, index, project }))
  return { version: value.version, entered: enteredAt(value, known ?? { created: -Infinity }) }
}

/** `spec/server-http.md` 12.4; the time of a file that its upstream does not tell is when it was first seen here. */
export function mirroredMeta(project: string, { url, version, sha256, md5, time, seen }: MirrorFileValue): object {
  const hashes: Record<string, string> = sha256 !== undefined ? { sha256 } : md5 !== undefined ? { md5 } : {}
  return { last_modified: formatHttpDate(time ?? seen), hash_spec: hashSpec(hashes), hashes, project, version, url }
}

/**
 * Answers GET or HEAD of a mirrored file: from the store, or as it arrives
 * from its upstream, once for all who want it. Refuses `not-found` what the
 * upstream has no more, `upstream-failed` where it cannot be had.
 */
export async function sendMirroredFile(
  deps: Deps,
  request: IncomingMessage,
  response: ServerResponse,
  { file, cacheControl }: { readonly file: Mirrored; readonly cacheControl: string },
): Promise<void> {
  const { content, basename, mirror } = file
  using stored = await holdFetched(deps, file) // no eviction takes it meanwhile
  if (content.sha256 !== undefined && stored !== undefined) {
    await deps.usedBlobs?.used(content.sha256)
    await sendStored(deps, request, response, { file, cacheControl, sha256: content.sha256, size: stored.size })
    return
  }
  if (mirror.value.mirror_use_external_urls === true) {
    redirectAway(response, content.url)
    return
  }
  const headers: Record<string, string> = {
    'Cache-Control': cacheControl,
    'Content-Type': contentTypeOf(basename),
    ...(content.sha256 !== undefined && { ETag: `"${content.sha256}"`, 'Accept-Ranges': 'bytes' }),
    ...(content.time !== undefined && { 'Last-Modified': formatHttpDate(content.time) }),
  }
  const validators = { etag: `"${content.sha256 ?? ''}"`, lastModifiedMs: content.time }
  if (content.sha256 !== undefined && isNotModified(request.headers, validators)) return void response.writeHead(304, headers).end()
  if (request.method === 'HEAD' && content.size !== undefined && deps.isStored === undefined) {
    response.writeHead(200, { ...headers, 'Content-Length': content.size }).end()
    return
  }
  const { download, upstream } = await startDownload(deps, file)
  deps.fetchedFiles.noted(mirror, upstream, download).catch(() => undefined) // who waits for it is told why; without the note it is fetched once more
  await sendDownload(request, response, download, { headers, validators, blobs: deps.blobs, idleTimeoutMs: deps.limits.idleTimeoutMs })
}

/** A file of a mirror, held in the store: fetched from its upstream before, unless it is there. Refuses as {@link sendMirroredFile} does. */
export async function holdMirroredFile(deps: Deps, file: FetchableFile): Promise<PinnedBlob> {
  const stored = await holdFetched(deps, file)
  if (stored !== undefined) return stored
  const { download, upstream } = await startDownload(deps, file)
  const fetched = await deps.fetchedFiles.noted(file.mirror, upstream, download)
  const held = await deps.blobs.hold(fetched.sha256)
  if (held === undefined) throw new Refusal('not-available', `${file.basename} had to make room for other files right after it was fetched; try again`)
  return held
}

/** What lies in the store and came there by this mirror: others may have put there what its upstream never gave. */
async function holdFetched({ blobs, fetchedFiles }: Deps, { mirror, content: { sha256 } }: FetchableFile): Promise<PinnedBlob | undefined> {
  return sha256 === undefined || !fetchedFiles.has(mirror, sha256) ? undefined : blobs.hold(sha256)
}

interface Stored {
  readonly file: Mirrored
  readonly cacheControl: string
  readonly sha256: string
  readonly size: number
}

async function sendStored(deps: Deps, request: IncomingMessage, response: ServerResponse, { file, cacheControl, sha256, size }: Stored): Promise<void> {
  const { time } = file.content
  const body = {
    sha256,
    size,
    contentType: contentTypeOf(file.basename),
    headers: { 'Cache-Control': cacheControl },
    ...(time !== undefined && { lastModifiedMs: time }),
  }
  await sendFile(request, response, body, { blobs: deps.blobs, cache: deps.smallFiles, hot: deps.hotFiles, idleTimeoutMs: deps.limits.idleTimeoutMs })
}
