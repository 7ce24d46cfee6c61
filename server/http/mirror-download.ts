import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import type { MirrorFileValue } from '#log-format/values.js'
import { indexName } from '#server/commands/lookups.js'
import { type AskedMirror, noteMirrorDigest } from '#server/commands/mirrors.js'
import { type MirrorUpstream, upstreamNamed, upstreamsOf } from '#server/stages/mirror-upstreams.js'
import type { PinnedBlob } from '#server/storage/blob-store.js'
import type { FilePlace } from '#server/upstream/continued-file.js'
import type { Download } from '#server/upstream/downloads.js'
import type { WantedFile } from '#server/upstream/file-download.js'
import type { Deps } from './deps.js'

/** How long a server may take to begin with a file that another one has, too. */
const ANSWER_MS = 5000

export const METADATA_SUFFIX = '.metadata'

/** What has to be known of a file of a mirror to fetch it. */
export interface FetchableFile {
  readonly mirror: AskedMirror
  readonly basename: string
  readonly project: string
  /** Folder of the public path, below `+f`. */
  readonly dir: string
  readonly content: Pick<MirrorFileValue, 'upstream' | 'url' | 'sha256' | 'md5' | 'size' | 'time'>
  /** Of what is told beside a file: that file. */
  readonly beside?: { readonly basename: string; readonly sha256: string | undefined }
}

/** A wheel of whose metadata no upstream states a digest. */
export interface MirroredWheel extends FetchableFile {
  readonly version: string
}

/** On its way, or in the store by now, where it has to be let go. */
export type StartedDownload = StartedFetch | { readonly stored: PinnedBlob }

interface StartedFetch {
  readonly stored?: undefined
  readonly download: Download
  /** Of the mirror, that gives it; undefined on a replica, where the primary does. */
  readonly upstream: string | undefined
}

/**
 * The download of a file of a mirror, from the upstream that told of it; while
 * that fails, from the first other one of the mirror that says to have a file
 * of this name and sha256. One that breaks off after it began goes on there, too.
 * Refuses `not-found` what its upstream has no more, `upstream-failed` where it cannot be had.
 */
export async function startDownload(deps: Deps, file: FetchableFile): Promise<StartedDownload> {
  const { primaryMirrors } = deps
  const { mirror, basename, dir, content, beside } = file
  const owner = indexName(mirror)
  const { sha256, size } = content
  if (primaryMirrors !== undefined) {
    // It notes the digest, if that is new, and so does everybody who follows it.
    const there = { upstream: primaryMirrors.upstream(mirror), url: primaryMirrors.fileUrl(mirror, ['+f', ...dir.split('/'), basename]) }
    const wanted = { ...there, client: primaryMirrors.client, owner, ...(sha256 !== undefined && { sha256 }), ...(size !== undefined && { size }) }
    return { download: deps.downloads.of(wanted), upstream: undefined }
  }
  const upstreams = await upstreamsOf(deps.storage, mirror)
  const own = upstreamNamed(upstreams, await tellerOf(deps, file, upstreams))
  if (own === undefined) throw new Refusal('upstream-failed', `mirror ${owner} has no mirror_url to ask`)
  const hasOthers = sha256 !== undefined && (beside === undefined || beside.sha256 !== undefined)
  const othersThan = (one: MirrorUpstream): readonly MirrorUpstream[] => (hasOthers ? upstreams.filter((upstream) => upstream !== one) : [])
  const others = othersThan(own)
  const start = (upstream: MirrorUpstream, url: string): Download =>
    deps.downloads.of({ ...wantedFile(deps, file), upstream, url, ...(others.length > 0 && { answerMs: ANSWER_MS, elsewhere: () => placesOf(deps, file, othersThan(upstream)) }) })

  const first = start(own, content.url)
  const failure = others.length === 0 ? undefined : await failureOf(first)
  if (failure === undefined) return { download: first, upstream: own.name }
  for await (const { upstream, url } of placesOf(deps, file, others)) {
    const stored = await holdFetched(deps, file) // while it was looked for, somebody else may have been done with it
    if (stored !== undefined) return { stored }
    const download = start(upstream, url)
    if ((await failureOf(download)) === undefined) return { download, upstream: upstream.name }
  }
  throw failure
}

/** Where upstreams say to have this very file, asked one after the other. */
async function* placesOf(deps: Deps, { mirror, basename, project, content, beside }: FetchableFile, upstreams: readonly MirrorUpstream[]): AsyncGenerator<FilePlace & { readonly upstream: MirrorUpstream }> {
  const sought = beside ?? { basename, sha256: content.sha256 }
  for (const upstream of upstreams) {
    const url = await deps.otherPlaces.find(mirror, upstream, { project, basename: sought.basename, sha256: sought.sha256 ?? '' })
    if (url !== undefined) yield { upstream, url: beside === undefined ? url : metadataUrl(url) }
  }
}

/**
 * A file of a mirror, held in the store: fetched from its upstream before,
 * unless it is there. `onStarted` is told of the download. Refuses `not-found`
 * what its upstream has no more, `upstream-failed` where it cannot be had.
 */
export async function holdMirroredFile(deps: Deps, file: FetchableFile, onStarted: (download: Download) => void = () => undefined): Promise<PinnedBlob> {
  const stored = await holdFetched(deps, file)
  if (stored !== undefined) return stored
  const started = await startDownload(deps, file)
  if (started.stored !== undefined) return started.stored
  onStarted(started.download)
  const fetched = await deps.fetchedFiles.noted(file.mirror, started.upstream, started.download)
  const held = await deps.blobs.hold(fetched.sha256)
  if (held === undefined) throw new Refusal('not-available', `${file.basename} had to make room for other files right after it was fetched; try again`)
  return held
}

/** What lies in the store and came there by this mirror: others may have put there what its upstream never gave. */
export async function holdFetched({ blobs, fetchedFiles }: Deps, { mirror, content: { sha256 } }: FetchableFile): Promise<PinnedBlob | undefined> {
  return sha256 === undefined || !fetchedFiles.has(mirror, sha256) ? undefined : blobs.hold(sha256)
}

/** The upstream that told of a file. */
export async function tellerOf({ storage }: Deps, { mirror: { user, index }, project, content }: FetchableFile, [first]: readonly MirrorUpstream[]): Promise<string> {
  return content.upstream ?? (await storage.reader().get(keys.project({ user, index, project })))?.upstream ?? first?.name ?? ''
}

/** Why a download did not begin, if another server may do better. */
async function failureOf(download: Download): Promise<Refusal | undefined> {
  try {
    await download.announcedSize
    return undefined
  } catch (error) {
    if (error instanceof Refusal && error.kind === 'upstream-failed') return error
    throw error
  }
}

function wantedFile(deps: Deps, { mirror, basename, project, content: { url, sha256, md5, size } }: FetchableFile): Omit<WantedFile, 'upstream' | 'url'> {
  const onStored = async (stored: { readonly sha256: string; readonly size: number }): Promise<void> => {
    const origin = { time: deps.now(), actor: '+upstream', via: 'system', request: deps.newRequestId() } as const
    const found = { user: mirror.user, index: mirror.index, project, basename, url, ...stored }
    await deps.storage.transact(origin, (tx) => noteMirrorDigest(tx, found))
  }
  return {
    owner: indexName(mirror),
    ...(sha256 === undefined ? { onStored } : { sha256 }),
    ...(md5 !== undefined && { md5 }),
    ...(size !== undefined && { size }),
  }
}

/** PEP 658: the suffix belongs to the path. */
export function metadataUrl(file: string): string {
  const url = new URL(file)
  url.pathname += METADATA_SUFFIX
  return url.href
}
