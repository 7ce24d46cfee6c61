import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Refusal } from '#log-format/api/refusal.js'
import { noteUnreadable } from '#server/commands/mirrors.js'
import type { MirrorsOfPrimary } from '#server/replication/mirrors-of-primary.js'
import { MAX_CORE_METADATA_BYTES } from '#server/packaging/core-metadata.js'
import { contentTypeOf } from '#server/packaging/filename.js'
import { upstreamNamed, upstreamsOf } from '#server/stages/mirror-upstreams.js'
import { withinTime } from '#server/stages/refresh-mirror.js'
import { metadataIn } from '#server/stages/wheel-tails.js'
import type { PinnedBlob } from '#server/storage/blob-store.js'
import { openBytes } from '#server/storage/open-blob.js'
import { boundedBody } from '#server/upstream/bounded-body.js'
import type { Download } from '#server/upstream/downloads.js'
import type { Deps } from './deps.js'
import { sendFile } from './file-body.js'
import { holdFetched, holdMirroredFile, METADATA_SUFFIX, type MirroredWheel, tellerOf } from './mirror-download.js'

const PRIMARY_MS = 25_000
/** In seconds, for who is to ask again: where nothing can be told, and at most. */
const RETRY_AFTER = { unknown: 5, most: 120 }

interface WheelMetadata {
  readonly bytes: Uint8Array
  /** Whether the wheel that it was read out of was seen to be the announced one. */
  readonly isVerified: boolean
}

/**
 * Answers GET or HEAD with the metadata of a mirrored wheel (PEP 658) of which
 * no upstream states a digest: out of the wheel, if it is stored; else out of
 * its tail; and where the tail cannot be had, the wheel is fetched, checked and
 * stored first. Refuses `not-available` while that takes long,
 * `upstream-failed`, and `not-found` for a wheel whose metadata cannot be
 * read: pages do not offer it any more then.
 */
export async function sendWheelMetadata(
  deps: Deps,
  request: IncomingMessage,
  response: ServerResponse,
  { wheel, cacheControl }: { readonly wheel: MirroredWheel; readonly cacheControl: string },
): Promise<void> {
  const { bytes, isVerified } = await metadataOf(deps, wheel)
  const body = {
    sha256: createHash('sha256').update(bytes).digest('hex'),
    size: bytes.length,
    contentType: contentTypeOf(wheel.basename + METADATA_SUFFIX),
    headers: { 'Cache-Control': isVerified ? cacheControl : 'no-store' },
  }
  await sendFile(request, response, body, { blobs: { open: async () => openBytes(bytes) }, idleTimeoutMs: deps.limits.idleTimeoutMs })
}

async function metadataOf(deps: Deps, wheel: MirroredWheel): Promise<WheelMetadata> {
  using stored = await holdFetched(deps, wheel)
  if (stored !== undefined) return await metadataInStored(deps, stored, wheel)
  if (deps.primaryMirrors !== undefined) return await metadataOfPrimary(deps.primaryMirrors, wheel)
  const upstreams = await upstreamsOf(deps.storage, wheel.mirror)
  const own = upstreamNamed(upstreams, await tellerOf(deps, wheel, upstreams))
  const tail = own && (await deps.wheelTails.read(wheel, own))
  if (tail !== undefined) return { bytes: tail, isVerified: false }
  using whole = await holdInTime(deps, wheel)
  return await metadataInStored(deps, whole, wheel)
}

/**
 * The wheel, fetched as any other file. What takes longer than somebody waits
 * goes on without him, and he is told when to come back: pip, which takes any
 * other failure for the end of the whole installation, does so five times.
 */
async function holdInTime(deps: Deps, wheel: MirroredWheel): Promise<PinnedBlob> {
  let download: Download | undefined
  const fetching = holdMirroredFile(deps, wheel, (started) => { download = started })
  const held = await withinTime(fetching, deps.limits.metadataWaitMs, () => undefined)
  if (held !== undefined) return held
  fetching.then((late) => { late[Symbol.dispose]() }, () => undefined)
  throw notYet(wheel.basename, secondsFor(download?.msLeft))
}

function secondsFor(msLeft: number | undefined): number {
  return msLeft === undefined ? RETRY_AFTER.unknown : Math.min(RETRY_AFTER.most, Math.ceil(msLeft / 1000) + 1)
}

function secondsIn(retryAfter: string | undefined): number {
  return retryAfter !== undefined && /^\d{1,3}$/.test(retryAfter) ? Number(retryAfter) : RETRY_AFTER.unknown
}

function notYet(basename: string, seconds: number): Refusal {
  return new Refusal('not-available', `${basename} is being fetched, as its metadata cannot be had without it; try again in ${seconds} s`, { headers: { 'Retry-After': String(seconds) } })
}

async function metadataInStored(deps: Deps, { sha256 }: PinnedBlob, wheel: MirroredWheel): Promise<WheelMetadata> {
  const blob = await deps.blobs.open(sha256)
  if (blob === undefined) throw new Error(`the blob ${sha256} is held and missing`)
  try {
    return { bytes: await metadataIn(blob, wheel), isVerified: true }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    await offerNoMore(deps, wheel)
    throw new Refusal('not-found', `no metadata can be read out of ${wheel.basename}`, { cause: error })
  } finally {
    await blob.close()
  }
}

async function offerNoMore(deps: Deps, { mirror: { user, index }, project, basename, content: { url } }: MirroredWheel): Promise<void> {
  if (deps.primaryMirrors !== undefined) return // it will find out itself
  const origin = { time: deps.now(), actor: '+system', via: 'system', request: deps.newRequestId() } as const
  await deps.storage.transact(origin, (tx) => noteUnreadable(tx, { user, index, project, basename, url }))
}

/** As the primary gives it, which alone asks upstreams. */
async function metadataOfPrimary(primary: MirrorsOfPrimary, { mirror, dir, basename }: MirroredWheel): Promise<WheelMetadata> {
  const url = new URL(primary.fileUrl(mirror, ['+f', ...dir.split('/'), basename + METADATA_SUFFIX]))
  const headers = { accept: '*/*', 'accept-encoding': 'identity' }
  const { status, headers: given, body } = await primary.client.open({ upstream: primary.upstream(mirror), url, headers, signal: AbortSignal.timeout(PRIMARY_MS), isOneAddress: true })
  const bytes = await boundedBody(body, MAX_CORE_METADATA_BYTES)
  if (status === 404) throw new Refusal('not-found', `no metadata can be read out of ${basename}`)
  if (status === 503) throw notYet(basename, secondsIn(given['retry-after']))
  if (status !== 200 || bytes === undefined) throw new Refusal('upstream-failed', `the primary answered ${status} for the metadata of ${basename}`)
  return { bytes, isVerified: given['cache-control']?.includes('no-store') !== true }
}
