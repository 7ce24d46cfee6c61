import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { type NodeTokens, nodeTokens } from '#server/auth/node-token.js'
import { PasswordHasher } from '#server/auth/passwords.js'
import { loadSecret } from '#server/auth/secret-file.js'
import type { FileReplication } from '#server/http/file-replication-status.js'
import { type TrustedProxies, trustProxies } from '#server/http/peers.js'
import { trustReplicas } from '#server/http/relay-trust.js'
import { relayWrites } from '#server/http/relay-writes.js'
import type { NodeIdentity } from '#server/http/respond.js'
import { type OutsideUrl, outsideUrls } from '#server/http/urls.js'
import type { FollowerTimes } from '#server/replication/follower.js'
import { DiskBlobs } from '#server/storage/disk-blobs.js'
import type { Storage } from '#server/storage/storage.js'
import type { CloseStack } from './close-stack.js'
import { hashingCosts, type ServerConfig } from './config.js'
import { type FileReplicationTimes, replicateFiles } from './file-replication.js'
import { openServerDir, requireSharedSecret, secretPath } from './initialise.js'
import type { Logger } from './logger.js'
import { type Mirroring, openMirrors } from './mirrors.js'
import { NodeRole } from './node-role.js'
import { packageVersion } from './package-version.js'
import { checkPrimary, preparePrimary } from './primary.js'
import { followPrimary } from './replica.js'

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
  /** How long an installer waits for metadata of a mirrored file, in ms. */
  readonly metadataWaitMs?: number
  /** How long streams of the log last and are silent, in ms. */
  readonly feed?: { readonly heartbeatMs?: number; readonly streamMs?: number }
  readonly follower?: Partial<FollowerTimes>
  readonly fileReplication?: FileReplicationTimes
  /** How often a primary asks the other nodes whether one was promoted, in ms. */
  readonly peers?: { readonly pauseMs?: number }
}

/** What a server consists of before it answers anybody; see `openParts`. */
export interface Parts {
  readonly storage: Storage
  readonly blobs: DiskBlobs
  readonly hasher: PasswordHasher
  /** Signs login tokens, and by it the nodes know each other. */
  readonly secret: Buffer
  readonly tokens: NodeTokens
  readonly proxies: TrustedProxies
  readonly outsideUrl: (request: IncomingMessage) => OutsideUrl
  readonly role: NodeRole
  readonly node: NodeIdentity
  readonly mirroring: Mirroring
  /** On a replica. */
  readonly files: FileReplication | undefined
  /** Whether the server directory was empty. */
  readonly isNew: boolean
  readonly now: () => number
  readonly newRequestId: () => string
  readonly idleTimeoutMs: number
  readonly metadataWaitMs: number
}

const IDLE_TIMEOUT_MS = 120_000
const UPSTREAM_TIMEOUT_MS = 5000
/** An installer gives up after 15 seconds in which nothing comes. */
const METADATA_WAIT_MS = 11_000
/** Another node that sends nothing for so long of a file has failed. */
const FILE_TIMEOUT_MS = 20_000

/** Opens the server directory, initialises an empty one, and takes up the role that it has. What has to be closed is left to the stack. */
export async function openParts(config: ServerConfig, surroundings: Surroundings, stack: CloseStack): Promise<Parts> {
  const { logger, now = Date.now, newRequestId = requestIds(), idleTimeoutMs = IDLE_TIMEOUT_MS, upstreamTimeoutMs = UPSTREAM_TIMEOUT_MS, metadataWaitMs = METADATA_WAIT_MS } = surroundings
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
  const files = role.filesUrl !== undefined
    ? stack.use(await replicateFiles({ storage, blobs, config, primaryUrl: () => role.filesUrl, tokens, userAgent, idleTimeoutMs: FILE_TIMEOUT_MS, now, logger, times: surroundings.fileReplication }))
    : undefined
  return { storage, blobs, hasher, secret, tokens, proxies, outsideUrl, role, node, mirroring, files, isNew, now, newRequestId, idleTimeoutMs, metadataWaitMs }
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
