import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Authenticator } from '#server/auth/identify.js'
import { LoginThrottle } from '#server/auth/login-throttle.js'
import { nodeTokens } from '#server/auth/node-token.js'
import { PasswordHasher } from '#server/auth/passwords.js'
import { loadSecret } from '#server/auth/secret-file.js'
import { storedTokens } from '#server/commands/tokens.js'
import { createApp } from '#server/http/app.js'
import { ChangeStreams } from '#server/http/change-streams.js'
import type { Deps, ProcessFacts } from '#server/http/deps.js'
import { DocsArchives } from '#server/http/docs-archives.js'
import { fetchedBlobs } from '#server/http/fetched-blobs.js'
import type { FileReplication } from '#server/http/file-replication-status.js'
import { HotFiles } from '#server/http/hot-files.js'
import { createListener } from '#server/http/listener.js'
import { Metrics } from '#server/http/metrics.js'
import { monitorsFrom } from '#server/http/monitors.js'
import { trustProxies } from '#server/http/peers.js'
import { ProjectPages } from '#server/http/project-pages.js'
import { PublicFiles } from '#server/http/public-files.js'
import { trustReplicas } from '#server/http/relay-trust.js'
import { relayWrites } from '#server/http/relay-writes.js'
import type { NodeIdentity } from '#server/http/respond.js'
import { SmallFileCache } from '#server/http/small-file-cache.js'
import { outsideUrls } from '#server/http/urls.js'
import type { Follower, FollowerTimes } from '#server/replication/follower.js'
import { PeerWatch } from '#server/replication/peer-watch.js'
import { Feed } from '#server/replication/feed.js'
import { ReplicaTable } from '#server/replication/replica-table.js'
import { DiskBlobs } from '#server/storage/disk-blobs.js'
import { fenceSentence } from '#server/storage/promotion.js'
import type { Storage } from '#server/storage/storage.js'
import type { SweepCounts } from '#server/storage/sweep.js'
import { secretNames } from '#server/storage/vault.js'
import { TargetHosts } from '#server/upstream/target-hosts.js'
import { CloseStack } from './close-stack.js'
import type { ServerConfig } from './config.js'
import { openServerDir, reportInitialised, requireSharedSecret, secretPath } from './initialise.js'
import { type FileReplicationTimes, replicateFiles } from './file-replication.js'
import { listen, stop, unusedConnections } from './listening.js'
import type { Logger } from './logger.js'
import { openMirrors } from './mirrors.js'
import { packageFolder, packageVersion } from './package-version.js'
import { checkPrimary, knownPeers, preparePrimary, promotedSentence } from './primary.js'
import { NodeRole, type PromoteOptions } from './node-role.js'
import { PromoteRequests } from './promote-request.js'
import { followPrimary } from './replica.js'
import type { Role } from './role.js'
import { keepSweeping } from './sweeper.js'

/** What a server takes from outside of its configuration; tests bring their own. */
export interface Surroundings {
  readonly logger: Logger
  /** ms since the epoch. */
  readonly now?: () => number
  readonly newRequestId?: () => string
  /** A client that sends or takes nothing for this long is cut off, in ms. */
  readonly idleTimeoutMs?: number
  /** An upstream that sends nothing for this long has failed, in ms. */
  readonly upstreamTimeoutMs?: number
  /** How long streams of the log last and are silent, in ms. */
  readonly feed?: { readonly heartbeatMs?: number; readonly streamMs?: number }
  readonly follower?: Partial<FollowerTimes>
  readonly fileReplication?: FileReplicationTimes
  /** How often a primary asks the other nodes whether one was promoted, in ms. */
  readonly peers?: { readonly pauseMs?: number }
}

/** A server that answers. Disposing it finishes running requests and closes everything. */
export interface RunningServer extends AsyncDisposable {
  /** `http://host:port`, without a slash at the end. */
  readonly url: string
  readonly storage: Storage
  readonly blobs: DiskBlobs
  readonly feed: Feed
  /** On a replica. */
  readonly follower: Follower | undefined
  readonly fileReplication: FileReplication | undefined
  readonly role: Role
  /** See `NodeRole`. Resolves to a sentence about it. */
  readonly promote: (options?: PromoteOptions) => Promise<string>
  readonly followAt: (primaryUrl: string) => Promise<void>
}

const IDLE_TIMEOUT_MS = 120_000
const UPSTREAM_TIMEOUT_MS = 5000
/** Another node that sends nothing for so long of a file has failed. */
const FILE_TIMEOUT_MS = 20_000

/** Opens the server directory, initialises an empty one, and listens. Refuses what keeps it from doing so in a sentence. */
export async function startServer(config: ServerConfig, surroundings: Surroundings): Promise<RunningServer> {
  const { logger, now = Date.now, newRequestId = requestIds(), idleTimeoutMs = IDLE_TIMEOUT_MS, upstreamTimeoutMs = UPSTREAM_TIMEOUT_MS } = surroundings
  await using stack = new CloseStack()
  const { storage, decided } = await openServerDir(config, logger)
  stack.use(storage)
  const hasher = new PasswordHasher(hashingCosts(config))
  if (decided.role === 'replica') requireSharedSecret(config)
  const isNew = decided.role !== 'replica' && (await preparePrimary(storage, config, hasher, now()))
  const secret = await loadSecret(secretPath(config))
  const tokens = nodeTokens(secret, now)
  const blobs = stack.use(await DiskBlobs.open(join(config.serverDir, 'files')))
  const proxies = trustReplicas(trustProxies(config.trustedProxies), tokens)
  const outsideUrl = outsideUrls({ proxies, ...(config.outsideUrl !== undefined && { outsideUrl: config.outsideUrl }) })
  const userAgent = `devpi-server/${packageVersion()}`
  const role = stack.use(new NodeRole({
    storage,
    decided,
    follow: (primaryUrl) => followPrimary({ storage, config, primaryUrl, tokens, userAgent, now, logger, times: surroundings.follower }),
    relayOver: (relay) => relayWrites(relay, { proxies, outsideUrl }),
    checkPrimary: () => checkPrimary(storage, config, hasher),
    now,
    logger,
  }))
  const node: NodeIdentity = {
    serverVersion: packageVersion(),
    uuid: storage.nodeId,
    get primaryUuid() { return role.primaryUuid },
    get epoch() { return storage.head.epoch },
  }
  const mirroring = stack.use(await openMirrors({ storage, blobs, config, primary: () => role.following?.mirrors, userAgent, upstreamTimeoutMs, now, newRequestId, logger }))
  const pages = stack.use(new ProjectPages(storage, node, now, mirroring.isStored))
  const files = role.filesUrl !== undefined
    ? stack.use(await replicateFiles({ storage, blobs, config, primaryUrl: () => role.filesUrl, tokens, userAgent, idleTimeoutMs: FILE_TIMEOUT_MS, now, logger, times: surroundings.fileReplication }))
    : undefined
  const smallFiles = new SmallFileCache({})
  const hotFiles = stack.use(new HotFiles())
  const publicFiles = stack.use(new PublicFiles(storage, node, smallFiles))
  const streams = new ChangeStreams()
  const feed = new Feed({ storage, now, ...surroundings.feed })
  const replicas = new ReplicaTable()
  const onFenced = (): void => { logger.error(storage.fence ?? {}, storage.fence && fenceSentence(storage.fence, storage.head.epoch)) }
  const peers = stack.use(new PeerWatch({ storage, tokens, peers: () => knownPeers({ storage, config, replicas }), outsideUrl: config.outsideUrl, onFenced, ...surroundings.peers }))
  let swept: SweepCounts | undefined
  const address = { port: config.port }
  const deps: Deps = {
    storage,
    blobs,
    hasher,
    pages,
    proxies,
    streams,
    feed,
    replicas,
    get follower() { return role.follower },
    get relay() { return role.relay },
    onFenced,
    metrics: new Metrics({ serverVersion: node.serverVersion, storage, blobs, pages, files: publicFiles, smallFiles, hotFiles, streams, downloads: mirroring.downloads, mirrors: mirroring.mirrors, feed, follower: () => role.follower, swept: () => swept, fileReplication: files }),
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
    limits: { maxUploadBytes: config.maxRequestBodyBytes, idleTimeoutMs },
    targetHosts: new TargetHosts(config.pushHosts),
    mirrors: mirroring.mirrors,
    isStored: mirroring.isStored,
    mirrorNames: mirroring.mirrorNames,
    get primaryMirrors() { return role.following?.mirrors },
    downloads: mirroring.downloads,
    fetchedFiles: mirroring.fetchedFiles,
    otherPlaces: mirroring.otherPlaces,
    wheelTails: mirroring.wheelTails,
    usedBlobs: mirroring.usedBlobs,
    ...(files && { fetches: files.fetches, fileReplication: files }),
    facts: () => factsOf(config, address.port),
    reportFault: (error, context) => {
      logger.error({ err: error, ...context }, 'a request failed')
    },
  }
  const server = createListener(deps, createApp(deps))
  const unused = unusedConnections(server)
  await peers.start() // before anything can be changed here
  await listen(server, config)
  if (isNew) reportInitialised(storage, config, logger) // not before: a start that fails says one sentence
  stack.defer(() => stop(server, unused))
  stack.use(streams) // they would never end by themselves
  stack.use(feed)
  address.port = (server.address() as AddressInfo).port

  stack.use(keepSweeping({ storage, blobs, undoWindowMs: config.undoWindowMs, now, onSwept: (counts) => { swept = counts } }, logger))
  const promote = async (options: PromoteOptions = { lostSecrets: 'refuse' }): Promise<string> => promotedSentence(await role.promote(newRequestId(), options))
  stack.use(new PromoteRequests(config.serverDir, promote, logger))
  const running = stack.move()
  return {
    url: `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${address.port}`,
    storage,
    blobs,
    feed,
    fileReplication: files,
    get follower() { return role.follower },
    get role() { return role.role },
    promote,
    followAt: (primaryUrl) => role.followAt(primaryUrl),
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  }
}

function factsOf({ serverDir, host, outsideUrl }: ServerConfig, port: number): ProcessFacts {
  return { serverdir: serverDir, serverCode: packageFolder(), host, port, outsideUrl }
}

export function hashingCosts({ argon2 }: ServerConfig): ConstructorParameters<typeof PasswordHasher>[0] {
  return {
    memoryKib: argon2.memoryCostKib,
    iterations: argon2.timeCost,
    parallelism: argon2.parallelism,
    concurrency: 2,
  }
}

/** Sixteen hex digits: some that are new with each start, and a count. */
function requestIds(): () => string {
  const start = randomBytes(5).toString('hex')
  let count = 0
  return () => {
    count = (count + 1) % 0x1000000
    return start + count.toString(16).padStart(6, '0')
  }
}
