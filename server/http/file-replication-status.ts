import type { FileReplicationJson, StatusMetric } from '#log-format/api/status.js'
import type { BlobBacklog } from '#server/replication/blob-backlog.js'
import type { BlobFetch } from '#server/replication/blob-fetch.js'
import type { BlobFetches } from '#server/replication/blob-fetches.js'
import type { BlobSources } from '#server/replication/blob-sources.js'

/** What of a replica fetches contents. */
export interface FileReplication {
  readonly sources: Pick<BlobSources, 'urlOf'>
  readonly fetches: BlobFetches
  readonly fetch: Pick<BlobFetch, 'status' | 'until'>
  readonly backlog: Pick<BlobBacklog, 'shown'>
}

/** What `+status` tells of the files of a replica. Which could not be had, and why, is for root alone: it names files of all indexes, and other nodes. */
export function fileReplicationJson(files: FileReplication, { mayInspect }: { readonly mayInspect: boolean }): FileReplicationJson {
  const { inSyncAt, paused } = files.fetch.status
  const inSync = { 'replica-files-in-sync-at': inSyncAt === undefined ? null : inSyncAt / 1000 }
  if (!mayInspect) return { ...inSync, 'replication-errors': {} }
  const errors = [...files.backlog.shown].map(({ path, message, sha256 }) => [path, { url: files.sources.urlOf(sha256), message, relpath: path }] as const)
  return { ...inSync, 'replica-files-paused': paused ?? null, 'replication-errors': Object.fromEntries(errors) }
}

/** Under the names that monitoring of the reference knows. */
export function fileReplicationMetrics(files: FileReplication): readonly StatusMetric[] {
  const { queued, failed } = files.fetch.status
  return [
    ['devpi_server_replica_file_download_queue_size', 'gauge', queued],
    ['devpi_server_replica_file_download_error_queue_size', 'gauge', failed],
  ]
}
