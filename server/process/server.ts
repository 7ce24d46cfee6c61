import type { AddressInfo } from 'node:net'
import { createApp } from '#server/http/app.js'
import type { FileReplication } from '#server/http/file-replication-status.js'
import { createListener } from '#server/http/listener.js'
import { Feed } from '#server/replication/feed.js'
import type { Follower } from '#server/replication/follower.js'
import { PeerWatch } from '#server/replication/peer-watch.js'
import { ReplicaTable } from '#server/replication/replica-table.js'
import type { DiskBlobs } from '#server/storage/disk-blobs.js'
import { fenceSentence } from '#server/storage/promotion.js'
import type { Storage } from '#server/storage/storage.js'
import type { SweepCounts } from '#server/storage/sweep.js'
import { CloseStack } from './close-stack.js'
import type { ServerConfig } from './config.js'
import { reportInitialised } from './initialise.js'
import { listen, stop, unusedConnections } from './listening.js'
import type { PromoteOptions } from './node-role.js'
import { openParts, type Surroundings } from './parts.js'
import { knownPeers, promotedSentence } from './primary.js'
import { PromoteRequests } from './promote-request.js'
import type { Role } from './role.js'
import { serverDeps } from './server-deps.js'
import { keepSweeping } from './sweeper.js'

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

/** Opens the server directory, initialises an empty one, and listens. Refuses what keeps it from doing so in a sentence. */
export async function startServer(config: ServerConfig, surroundings: Surroundings): Promise<RunningServer> {
  const { logger } = surroundings
  await using stack = new CloseStack()
  const parts = await openParts(config, surroundings, stack)
  const { storage, blobs, tokens, role, files, now, newRequestId } = parts
  const feed = new Feed({ storage, now, ...surroundings.feed })
  const replicas = new ReplicaTable()
  const onFenced = (): void => { logger.error(storage.fence ?? {}, storage.fence && fenceSentence(storage.fence, storage.head.epoch)) }
  const peers = stack.use(new PeerWatch({ storage, tokens, peers: () => knownPeers({ storage, config, replicas }), outsideUrl: config.outsideUrl, onFenced, ...surroundings.peers }))
  let { port } = config
  let swept: SweepCounts | undefined
  const deps = serverDeps({ config, parts, feed, replicas, logger, onFenced, port: () => port, swept: () => swept }, stack)

  const server = createListener(deps, createApp(deps))
  const unused = unusedConnections(server)
  await peers.start() // before anything can be changed here
  await listen(server, config)
  if (parts.isNew) reportInitialised(storage, config, logger) // not before: a start that fails says one sentence
  stack.defer(() => stop(server, unused))
  stack.use(deps.streams) // they would never end by themselves
  stack.use(feed)
  port = (server.address() as AddressInfo).port

  stack.use(keepSweeping({ storage, blobs, undoWindowMs: config.undoWindowMs, now, onSwept: (counts) => { swept = counts } }, logger))
  const promote = async (options: PromoteOptions = { lostSecrets: 'refuse' }): Promise<string> => promotedSentence(await role.promote(newRequestId(), options))
  stack.use(new PromoteRequests(config.serverDir, promote, logger))
  const running = stack.move()
  return {
    url: `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`,
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
