import { join } from 'node:path'
import { indexName } from '#server/commands/lookups.js'
import type { AskedMirror, Disagreement } from '#server/commands/mirrors.js'
import { UsedBlobs } from '#server/http/used-blobs.js'
import { WheelTails } from '#server/stages/wheel-tails.js'
import { FetchedFiles } from '#server/stages/fetched-files.js'
import { MirrorNames } from '#server/stages/mirror-names.js'
import { OtherPlaces } from '#server/stages/other-places.js'
import { MirrorRefresher, type PrimaryOfMirrors } from '#server/stages/refresh-mirror.js'
import type { IsStored } from '#server/stages/stored-only.js'
import type { DiskBlobs } from '#server/storage/disk-blobs.js'
import { NameLists } from '#server/storage/name-lists.js'
import type { Storage } from '#server/storage/storage.js'
import { UpstreamClient } from '#server/upstream/client.js'
import { FileDownloads } from '#server/upstream/file-download.js'
import { TargetHosts } from '#server/upstream/target-hosts.js'
import { CloseStack } from './close-stack.js'
import type { ServerConfig } from './config.js'
import { Evictor } from './evictor.js'
import type { Logger } from './logger.js'
import { readCaBundle } from './network-environment.js'

/** Everything that has to do with upstreams. */
export interface Mirroring extends AsyncDisposable {
  readonly mirrors: MirrorRefresher
  readonly mirrorNames: MirrorNames
  readonly downloads: FileDownloads
  readonly fetchedFiles: FetchedFiles
  readonly otherPlaces: OtherPlaces
  readonly wheelTails: WheelTails
  /** Where contents are taken away that were not asked for lately. */
  readonly usedBlobs: UsedBlobs | undefined
  /** Where only what is stored is shown: whether a content is. */
  readonly isStored: IsStored | undefined
}

export async function openMirrors(input: {
  readonly storage: Storage
  readonly blobs: DiskBlobs
  readonly config: ServerConfig
  /** On a replica: whom to ask in place of upstreams. */
  readonly primary: () => PrimaryOfMirrors | undefined
  readonly userAgent: string
  readonly upstreamTimeoutMs: number
  readonly now: () => number
  readonly newRequestId: () => string
  readonly logger: Logger
}): Promise<Mirroring> {
  const { storage, blobs, config, primary, userAgent, upstreamTimeoutMs, now, newRequestId, logger } = input
  await using stack = new CloseStack()
  const isOffline = config.offline
  const ca = config.caBundle === undefined ? undefined : await readCaBundle(config.caBundle)
  const hosts = new TargetHosts(config.privateUpstreams, '--allow-private-upstream')
  const client = stack.use(new UpstreamClient({ hosts, userAgent, now, idleTimeoutMs: upstreamTimeoutMs, isOffline, proxies: config.proxies, ...(ca !== undefined && { ca }) }))
  const onFault = (fault: unknown): void => { logger.error({ err: fault }, 'what an upstream has could not be stored') }
  const onDisagreement = (mirror: AskedMirror, project: string, { basename, sha256, upstream, stated }: Disagreement): void => {
    logger.warn({ mirror: indexName(mirror), project, file: basename, sha256, upstream, stated }, 'an upstream states another digest of a file than was stated before; the one before stands')
  }
  const shared = { storage, client, primary, isOffline, now, onFault, limits: { expiryMs: config.mirrorExpiryMs } }
  const mirrors = stack.use(new MirrorRefresher({ ...shared, newRequestId, onDisagreement }))
  const mirrorNames = stack.use(new MirrorNames({ ...shared, lists: new NameLists(join(config.serverDir, 'mirror-names')) }))
  await mirrorNames.sweep()
  const mostBytes = isOffline ? undefined : config.mirrorCacheBytes
  const evictor = mostBytes === undefined ? undefined : stack.use(new Evictor({ storage, blobs, mostBytes, undoWindowMs: config.undoWindowMs, now }, logger))
  const downloads = stack.use(new FileDownloads({ client, store: blobs, maxBytes: config.maxRequestBodyBytes, onStored: (bytes) => evictor?.stored(bytes) }))
  const fetchedFiles = new FetchedFiles(storage.notes)
  const open = stack.move()
  return {
    mirrors,
    mirrorNames,
    downloads,
    fetchedFiles,
    otherPlaces: new OtherPlaces(client, now),
    wheelTails: new WheelTails(client),
    usedBlobs: evictor && new UsedBlobs(blobs, now),
    isStored: isOffline ? async (mirror, sha256) => fetchedFiles.has(mirror, sha256) && (await blobs.stat(sha256)) !== undefined : undefined,
    [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
  }
}
