import { join } from 'node:path'
import type { NodeTokens } from '#server/auth/node-token.js'
import type { FileReplication } from '#server/http/file-replication-status.js'
import { BlobBacklog } from '#server/replication/blob-backlog.js'
import { BlobFetch, type BlobFetchInput } from '#server/replication/blob-fetch.js'
import { BlobFetches } from '#server/replication/blob-fetches.js'
import { BlobSources } from '#server/replication/blob-sources.js'
import type { DiskBlobs } from '#server/storage/disk-blobs.js'
import { PartialBlobs } from '#server/storage/partial-blobs.js'
import { freeBytesOf } from '#server/storage/disk-room.js'
import type { Storage } from '#server/storage/storage.js'
import { CloseStack } from './close-stack.js'
import type { ServerConfig } from './config.js'
import type { Logger } from './logger.js'

/** How long what failed is left alone; tests are less patient. */
export type FileReplicationTimes = Pick<BlobFetchInput, 'retry' | 'pause'>

/** Begins to fetch contents that a replica lacks, from its primary and the other nodes that its operator named. */
export async function replicateFiles(input: {
  readonly storage: Storage
  readonly blobs: DiskBlobs
  readonly config: ServerConfig
  /** Where files are asked for first: at the primary, or at whom a promoted server followed before. */
  readonly primaryUrl: () => string | undefined
  readonly tokens: NodeTokens
  readonly userAgent: string
  readonly idleTimeoutMs: number
  readonly now: () => number
  readonly logger: Logger
  readonly times?: FileReplicationTimes | undefined
}): Promise<FileReplication & AsyncDisposable> {
  const { storage, blobs, config, primaryUrl, tokens, now, logger, times } = input
  await using stack = new CloseStack()
  const folder = join(config.serverDir, 'files')
  const partials = await PartialBlobs.open(blobs, folder)
  const backlog = await BlobBacklog.open(storage)
  const known = new Map<string, URL>()
  const urlOf = (text: string): URL => {
    const url = known.get(text) ?? new URL(text)
    known.set(text, url)
    return url
  }
  const sources = stack.use(new BlobSources({
    urls: () => [primaryUrl() ?? [], config.fileSources].flat().map(urlOf),
    credentials: () => ({ 'X-DEVPI-REPLICA-UUID': storage.nodeId, Authorization: `Bearer ${tokens.issue(storage.nodeId)}` }),
    userAgent: input.userAgent,
    idleTimeoutMs: input.idleTimeoutMs,
    now,
  }))
  const freeBytes = (): Promise<number> => freeBytesOf(folder)
  const fetches = stack.use(new BlobFetches({ sources, partials, backlog, maxBytes: config.maxRequestBodyBytes, freeBytes }))
  const fetch = stack.use(new BlobFetch({
    storage,
    blobs,
    partials,
    fetches,
    backlog,
    threads: config.fileThreads,
    skipped: config.skippedFiles,
    undoWindowMs: config.undoWindowMs,
    now,
    onFault: (fault) => { logger.error({ err: fault }, 'a file of the primary could not be stored') },
    ...times,
  }))
  await fetch.start()
  const running = stack.move()
  return { sources, fetches, fetch, backlog, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() }
}
