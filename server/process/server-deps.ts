import { Authenticator } from '#server/auth/identify.js'
import { LoginThrottle } from '#server/auth/login-throttle.js'
import { storedTokens } from '#server/commands/tokens.js'
import { ChangeStreams } from '#server/http/change-streams.js'
import type { Deps, ProcessFacts } from '#server/http/deps.js'
import { DocsArchives } from '#server/http/docs-archives.js'
import { fetchedBlobs } from '#server/http/fetched-blobs.js'
import { HotFiles } from '#server/http/hot-files.js'
import { Metrics } from '#server/http/metrics.js'
import { monitorsFrom } from '#server/http/monitors.js'
import { ProjectPages } from '#server/http/project-pages.js'
import { PublicFiles } from '#server/http/public-files.js'
import { SmallFileCache } from '#server/http/small-file-cache.js'
import { UploadTurns } from '#server/http/upload-turns.js'
import type { Feed } from '#server/replication/feed.js'
import type { ReplicaTable } from '#server/replication/replica-table.js'
import type { SweepCounts } from '#server/storage/sweep.js'
import { secretNames } from '#server/storage/vault.js'
import { TargetHosts } from '#server/upstream/target-hosts.js'
import type { CloseStack } from './close-stack.js'
import type { ServerConfig } from './config.js'
import type { Logger } from './logger.js'
import { packageFolder } from './package-version.js'
import type { Parts } from './parts.js'

export interface ServerDepsInput {
  readonly config: ServerConfig
  readonly parts: Parts
  readonly feed: Feed
  readonly replicas: ReplicaTable
  readonly logger: Logger
  readonly onFenced: () => void
  /** Known once the server listens. */
  readonly port: () => number
  /** Of the last sweep. */
  readonly swept: () => SweepCounts | undefined
}

/** What routes receive of a server: its parts, and the caches over them, which are left to the stack. */
export function serverDeps({ config, parts, feed, replicas, logger, onFenced, port, swept }: ServerDepsInput, stack: CloseStack): Deps {
  const { storage, blobs, hasher, secret, tokens, proxies, outsideUrl, role, node, mirroring, files, now, newRequestId, idleTimeoutMs, metadataWaitMs } = parts
  const pages = stack.use(new ProjectPages(storage, node, now, mirroring.isStored))
  const uploadTurns = new UploadTurns({ pages: () => pages.counts.hits + pages.counts.misses })
  const smallFiles = new SmallFileCache({})
  const hotFiles = stack.use(new HotFiles())
  const publicFiles = stack.use(new PublicFiles(storage, node, smallFiles))
  const streams = new ChangeStreams()
  const { serverVersion } = node
  const { downloads, mirrors } = mirroring
  return {
    storage,
    blobs,
    hasher,
    pages,
    uploadTurns,
    proxies,
    streams,
    feed,
    replicas,
    get follower() { return role.follower },
    get relay() { return role.relay },
    onFenced,
    metrics: new Metrics({ serverVersion, storage, blobs, pages, uploadTurns, files: publicFiles, smallFiles, hotFiles, streams, downloads, mirrors, feed, follower: () => role.follower, swept, fileReplication: files }),
    isMonitor: monitorsFrom(config.metricsFrom, proxies),
    node,
    now,
    newRequestId,
    authenticator: new Authenticator({
      secretOf: (user) => storage.vault.get(secretNames.user(user)),
      apiTokens: storedTokens(storage),
      secret,
      hasher,
      throttle: new LoginThrottle({ now }),
      now,
    }),
    nodeTokens: tokens,
    smallFiles,
    hotFiles,
    files: publicFiles,
    docs: stack.use(new DocsArchives({ open: (sha256) => fetchedBlobs(blobs, files?.fetches).open(sha256), path: (sha256) => blobs.path(sha256) })),
    outsideUrl,
    policy: config.restrictModify === undefined ? { signUp: 'open' } : { signUp: 'closed', managers: config.restrictModify },
    limits: { maxUploadBytes: config.maxRequestBodyBytes, idleTimeoutMs, metadataWaitMs },
    targetHosts: new TargetHosts(config.pushHosts),
    mirrors,
    isStored: mirroring.isStored,
    mirrorNames: mirroring.mirrorNames,
    get primaryMirrors() { return role.following?.mirrors },
    downloads,
    fetchedFiles: mirroring.fetchedFiles,
    otherPlaces: mirroring.otherPlaces,
    wheelTails: mirroring.wheelTails,
    usedBlobs: mirroring.usedBlobs,
    ...(files && { fetches: files.fetches, fileReplication: files }),
    facts: () => factsOf(config, port()),
    reportFault: (error, context) => {
      logger.error({ err: error, ...context }, 'a request failed')
    },
  }
}

function factsOf({ serverDir, host, outsideUrl }: ServerConfig, port: number): ProcessFacts {
  return { serverdir: serverDir, serverCode: packageFolder(), host, port, outsideUrl }
}
