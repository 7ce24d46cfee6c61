import type { IncomingMessage, ServerResponse } from 'node:http'
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import { CHANGELOG_TYPE } from '#log-format/framing.js'
import type { DiskBlobs } from '#server/storage/disk-blobs.js'
import type { Feed } from '#server/replication/feed.js'
import type { Follower, FollowerStatus } from '#server/replication/follower.js'
import type { MirrorRefresher } from '#server/stages/refresh-mirror.js'
import type { Storage } from '#server/storage/storage.js'
import type { SweepCounts } from '#server/storage/sweep.js'
import type { FileDownloads } from '#server/upstream/file-download.js'
import type { ChangeStreams } from './change-streams.js'
import type { FileReplication } from './file-replication-status.js'
import { EVENT_STREAM_TYPE } from './negotiate.js'
import type { ProjectPages } from './project-pages.js'
import type { PublicFiles } from './public-files.js'
import type { HotFiles } from './hot-files.js'
import type { SmallFileCache } from './small-file-cache.js'
import type { UploadTurns } from './upload-turns.js'

/** Parts of the server that count what they do. Looking at a count costs nothing: no folder is read for it. */
export interface MetricSources {
  readonly serverVersion: string
  readonly storage: Storage
  readonly blobs: DiskBlobs
  readonly pages: ProjectPages
  readonly uploadTurns: UploadTurns
  readonly files: PublicFiles
  readonly smallFiles: SmallFileCache
  readonly hotFiles: HotFiles
  readonly streams: ChangeStreams
  readonly feed: Feed
  readonly follower: () => Follower | undefined
  readonly downloads: FileDownloads
  readonly mirrors: MirrorRefresher
  /** What the last sweep found; undefined until it is over. */
  readonly swept: () => SweepCounts | undefined
  /** Of a replica. */
  readonly fileReplication?: FileReplication | undefined
}

const SECONDS = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60]
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'PUSH', 'OPTIONS'])

/** Figures for Prometheus, in a registry of their own. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #requests: Counter<'route' | 'method' | 'status'>
  readonly #seconds: Histogram<'route'>
  #hasProcess = false

  constructor(sources: MetricSources) {
    const registers = [this.#registry]
    this.#requests = new Counter({
      name: 'devpi_http_requests_total',
      help: 'Requests, but for those that a cache answered; status "gone" when the client left before the end',
      labelNames: ['route', 'method', 'status'],
      registers,
    })
    this.#seconds = new Histogram({
      name: 'devpi_http_request_duration_seconds',
      help: 'From the head of a request to the end of its reply; streams of changes and of the log are left out',
      labelNames: ['route'],
      buckets: SECONDS,
      registers,
    })
    addCounts(this.#registry, sources)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** Notes the outcome of a request that is about to be routed. */
  watch(request: IncomingMessage, response: ServerResponse): void {
    const start = performance.now()
    response.once('close', () => {
      const { method = '' } = request
      const route = routeOf(request)
      const status = response.writableFinished ? String(response.statusCode) : 'gone'
      this.#requests.inc({ route, method: METHODS.has(method) ? method : 'other', status })
      const type = response.getHeader('Content-Type')
      if (type === EVENT_STREAM_TYPE || type === CHANGELOG_TYPE) return
      this.#seconds.observe({ route }, (performance.now() - start) / 1000)
    })
  }

  /** The text format of Prometheus, version 0.0.4. */
  render(): Promise<string> {
    if (!this.#hasProcess) {
      collectDefaultMetrics({ register: this.#registry }) // it watches the event loop: for who looks at it only
      this.#hasProcess = true
    }
    return this.#registry.metrics()
  }
}

function addCounts(registry: Registry, sources: MetricSources): void {
  const { storage, blobs, pages, uploadTurns, files, smallFiles, hotFiles, streams, downloads, mirrors, swept, feed, follower } = sources
  const counter = (name: string, help: string, read: () => number): void => {
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  }
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read())
      },
    })
  }
  new Gauge({ name: 'devpi_info', help: 'Release of the server', labelNames: ['version'], registers: [registry] }).set({ version: sources.serverVersion }, 1)
  gauge('devpi_log_serial', 'Serial of the newest entry', () => storage.head.serial)
  gauge('devpi_log_last_commit_timestamp_seconds', 'Time of the newest entry', () => storage.head.time / 1000)
  gauge('devpi_log_size_bytes', 'Size of the log, as the database estimated it at the start, and what came since', () => storage.logBytes)
  gauge('devpi_log_writable', '0 when the last write of the log failed', () => Number(storage.isWritable))
  counter('devpi_log_entries_total', 'Entries written since the start', () => storage.writeCounts.entries)
  counter('devpi_log_entry_bytes_total', 'Bytes of these entries', () => storage.writeCounts.bytes)
  counter('devpi_log_batches_total', 'Synced writes that these entries took', () => storage.writeCounts.batches)
  counter('devpi_page_cache_hits_total', 'Simple pages answered out of the cache', () => pages.counts.hits)
  counter('devpi_page_cache_misses_total', 'Simple pages put together', () => pages.counts.misses)
  gauge('devpi_page_cache_bytes', 'Memory of cached pages', () => pages.bytes)
  counter('devpi_file_cache_hits_total', 'Small files answered out of the cache', () => files.hits)
  gauge('devpi_file_cache_bytes', 'Memory of cached files', () => smallFiles.bytes + hotFiles.bytes)
  counter('devpi_uploads_held_back_total', 'Uploads that waited for a moment because pages kept the server busy', () => uploadTurns.counts.heldBack)
  counter('devpi_blobs_received_total', 'Contents uploaded whole, whether they were kept or not', () => blobs.counts.received)
  counter('devpi_blob_received_bytes_total', 'Bytes of these contents', () => blobs.counts.receivedBytes)
  counter('devpi_mirror_downloads_total', 'Files fetched from upstreams, one for all who wait for it', () => downloads.counts.started)
  counter('devpi_mirror_downloads_failed_total', 'Of these, those that broke off or were not what was announced', () => downloads.counts.failed)
  counter('devpi_mirror_downloads_continued_total', 'How often one that broke off went on from the byte reached', () => downloads.counts.continued)
  counter('devpi_mirror_failovers_total', 'Pages asked of a later upstream of a mirror because those before it failed', () => mirrors.counts.failovers)
  counter('devpi_mirror_digest_disagreements_total', 'Files of which an upstream stated another digest than one before it', () => mirrors.counts.disagreements)
  counter('devpi_blobs_removed_total', 'Contents that were removed', () => blobs.counts.removed)
  gauge('devpi_swept_blobs', 'Contents on the disk when unnamed ones were last removed', () => kept(swept()).blobs)
  gauge('devpi_swept_blob_bytes', 'Bytes of these contents', () => kept(swept()).bytes)
  gauge('devpi_change_streams', 'Streams of changes that are open', () => streams.open)
  gauge('devpi_log_streams', 'Streams of the log that are open, one for each replica that follows', () => feed.open)
  if (follower() !== undefined) addReplicaCounts(gauge, counter, { follower, fileReplication: sources.fileReplication })
}

type AddMetric = (name: string, help: string, read: () => number) => void

function addReplicaCounts(gauge: AddMetric, counter: AddMetric, { follower, fileReplication }: { readonly follower: () => Follower | undefined; readonly fileReplication: FileReplication | undefined }): void {
  const ofFollower = (read: (status: FollowerStatus) => number) => (): number => { // 0 after its promotion
    const status = follower()?.status
    return status === undefined ? 0 : read(status)
  }
  gauge('devpi_replica_following', '0 while the primary cannot be followed', ofFollower(({ state }) => Number(state === 'following')))
  gauge('devpi_replica_primary_serial', 'Serial of the newest entry that the primary told of', ofFollower(({ primarySerial }) => primarySerial))
  gauge('devpi_replica_lag_serials', 'Entries of the primary that are not here yet', ofFollower(({ lag }) => lag.serials))
  gauge('devpi_replica_lag_seconds', 'Time since all entries of the primary were here', ofFollower(({ lag }) => lag.seconds))
  if (fileReplication === undefined) return
  const { fetch, fetches } = fileReplication
  gauge('devpi_replica_files_queued', 'Entries not looked through for files yet, and files being fetched', () => fetch.status.queued)
  gauge('devpi_replica_files_failed', 'Files that could not be had so far', () => fetch.status.failed)
  counter('devpi_replica_files_fetched_total', 'Files fetched whole', () => fetches.counts.fetched)
  counter('devpi_replica_file_bytes_total', 'Bytes of files that were sent here', () => fetches.counts.bytes)
}

/** NaN, which Prometheus knows, as long as nobody has counted. */
function kept(counts: SweepCounts | undefined): { readonly blobs: number; readonly bytes: number } {
  if (counts === undefined) return { blobs: NaN, bytes: NaN }
  return { blobs: counts.seen - counts.removed, bytes: counts.seenBytes - counts.removedBytes }
}

const routes = new Map<string, string>()

/** The address as the router has it, with `{names}` for what varies: there are only so many of them. */
function routeOf(request: IncomingMessage): string {
  const path = 'route' in request ? pathOf(request.route) : undefined
  if (path === undefined) return 'none'
  let route = routes.get(path)
  if (route === undefined) {
    route = path.replaceAll('{/}', '').replaceAll('\\', '').replace(/[:*](\w+)/g, '{$1}')
    routes.set(path, route)
  }
  return route
}

function pathOf(route: unknown): string | undefined {
  return typeof route === 'object' && route !== null && 'path' in route && typeof route.path === 'string' ? route.path : undefined
}
