import type { IncomingMessage, ServerResponse } from 'node:http'
import { keys } from '#log-format/keys.js'
import type { MirrorFileValue } from '#log-format/values.js'
import type { FileRef } from '#server/commands/lookups.js'
import { type AskedMirror, enteredAt, findMirroredFile, type MirroredFile, offersMetadataOf } from '#server/commands/mirrors.js'
import { contentTypeOf } from '#server/packaging/filename.js'
import type { JudgedFile } from '#server/packaging/release-policy.js'
import type { PinnedBlob } from '#server/storage/blob-store.js'
import type { Reader } from '#server/storage/reader.js'
import { formatHttpDate, isNotModified } from './caching.js'
import type { Deps } from './deps.js'
import { sendFile } from './file-body.js'
import { type FetchableFile, holdFetched, METADATA_SUFFIX, metadataUrl, type MirroredWheel, startDownload } from './mirror-download.js'
import { sendWheelMetadata } from './mirrored-metadata.js'
import { redirectAway } from './redirect.js'
import { sendDownload } from './send-download.js'
import { hashSpec } from './release-json.js'

/** A file of a mirror, or what is told of one beside it. */
export interface Mirrored extends FetchableFile {
  /** Of the file, or of that which it lies beside: since when it counts as being there. */
  readonly judged: JudgedFile
  /** Undefined for what is told beside a file. */
  readonly file?: MirrorFileValue
  /** Of metadata that no upstream states a digest of: what it has to be read out of. */
  readonly wheel?: MirroredWheel
}

/** What a mirror has at a public path, the metadata beside a file included (PEP 658). */
export async function findMirrored(reader: Reader, ref: FileRef & AskedMirror): Promise<Mirrored | undefined> {
  const { user, index, value, basename } = ref
  const mirror = { user, index, value }
  const file = await findMirroredFile(reader, ref)
  if (file !== undefined) return { mirror, basename, project: file.project, dir: file.value.dir, judged: await judgedFile(reader, file), file: file.value, content: file.value }
  if (!basename.endsWith(METADATA_SUFFIX)) return undefined
  const beside = await findMirroredFile(reader, { ...ref, basename: basename.slice(0, -METADATA_SUFFIX.length) })
  return beside && findMetadata(reader, mirror, beside)
}

async function findMetadata(reader: Reader, mirror: AskedMirror, beside: MirroredFile): Promise<Mirrored | undefined> {
  const { project, basename, value } = beside
  const { dir, version, url, upstream, sha256, coreMetadata } = value
  const found = { mirror, basename: basename + METADATA_SUFFIX, project, dir, judged: await judgedFile(reader, beside) }
  const known = await reader.get(keys.project(beside))
  if (coreMetadata === undefined) {
    return offersMetadataOf(basename, value, known?.upstream) ? { ...found, content: value, wheel: { mirror, basename, project, dir, version, content: value } } : undefined
  }
  return { ...found, content: { url: metadataUrl(url), sha256: coreMetadata, ...(upstream !== undefined && { upstream }) }, beside: { basename, sha256 } }
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
  const { content, basename, mirror, wheel } = file
  if (wheel !== undefined) return sendWheelMetadata(deps, request, response, { wheel, cacheControl })
  using stored = await holdFetched(deps, file) // no eviction takes it meanwhile
  if (stored !== undefined) {
    await sendStored(deps, request, response, { file, cacheControl, stored })
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
  const started = await startDownload(deps, file)
  using sinceStored = started.stored
  if (sinceStored !== undefined) {
    await sendStored(deps, request, response, { file, cacheControl, stored: sinceStored })
    return
  }
  const { download, upstream } = started
  deps.fetchedFiles.noted(mirror, upstream, download).catch(() => undefined) // who waits for it is told why; without the note it is fetched once more
  await sendDownload(request, response, download, { headers, validators, blobs: deps.blobs, idleTimeoutMs: deps.limits.idleTimeoutMs })
}

interface Stored {
  readonly file: Mirrored
  readonly cacheControl: string
  readonly stored: PinnedBlob
}

async function sendStored(deps: Deps, request: IncomingMessage, response: ServerResponse, { file, cacheControl, stored }: Stored): Promise<void> {
  const { sha256, size } = stored
  const { time } = file.content
  await deps.usedBlobs?.used(sha256)
  const body = {
    sha256,
    size,
    contentType: contentTypeOf(file.basename),
    headers: { 'Cache-Control': cacheControl },
    ...(time !== undefined && { lastModifiedMs: time }),
  }
  await sendFile(request, response, body, { blobs: deps.blobs, cache: deps.smallFiles, hot: deps.hotFiles, idleTimeoutMs: deps.limits.idleTimeoutMs })
}
