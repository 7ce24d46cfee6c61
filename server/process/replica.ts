import type { Serial } from '#log-format/serial.js'
import type { NodeTokens } from '#server/auth/node-token.js'
import { epochClaim } from '#server/replication/epoch-claim.js'
import { Follower, type FollowerEvent, type FollowerTimes } from '#server/replication/follower.js'
import type { Storage } from '#server/storage/storage.js'
import { PrimaryConnection } from '#server/replication/primary-request.js'
import { fetchSecrets, VaultFollower } from '#server/replication/vault-follower.js'
import { MirrorsOfPrimary } from '#server/replication/mirrors-of-primary.js'
import { WriteRelay } from '#server/replication/write-relay.js'
import { UpstreamClient } from '#server/upstream/client.js'
import { TargetHosts } from '#server/upstream/target-hosts.js'
import type { ServerConfig } from './config.js'
import type { Logger } from './logger.js'

/** Until the primary answers a question about its vault, and between two pieces of the answer. */
const REPLY_TIMEOUT_MS = 25_000

/** What of a server is otherwise on a replica: it follows, and makes nothing by itself. */
export interface Following extends AsyncDisposable {
  readonly follower: Follower
  readonly vault: VaultFollower
  /** The way of changes to the primary. */
  readonly relay: WriteRelay
  readonly mirrors: MirrorsOfPrimary
}

export function followPrimary(input: {
  readonly storage: Storage
  readonly config: ServerConfig
  readonly primaryUrl: string
  readonly tokens: NodeTokens
  readonly userAgent: string
  readonly now: () => number
  readonly logger: Logger
  readonly times?: Partial<FollowerTimes> | undefined
}): Following {
  const { storage, config, primaryUrl, tokens, now, logger, times } = input
  const follower = new Follower({
    storage,
    primaryUrl,
    tokens,
    outsideUrl: config.outsideUrl,
    now,
    report: (event) => { note(logger, primaryUrl, event) },
    ...(times && { times }),
  })
  const silenceMs = times?.silenceMs ?? REPLY_TIMEOUT_MS
  const connection = new PrimaryConnection({ url: primaryUrl, node: storage.nodeId, tokens, replyTimeoutMs: silenceMs })
  const vault = new VaultFollower({
    storage,
    fetch: (request) => fetchSecrets(connection, silenceMs, request),
    onFault: (error) => { logger.warn({ primary: primaryUrl, reason: error.message }, 'the secrets of the primary could not be fetched; it is tried again') },
  })
  const primary = new URL(primaryUrl)
  const token = (): string => tokens.issue(storage.nodeId)
  const reached = async (serial: Serial, signal: AbortSignal): Promise<void> => {
    await storage.reached(serial, signal)
    await vault.reached(serial, signal)
  }
  const relay = new WriteRelay({ primary, credentials: () => ({ node: storage.nodeId, token: token() }), claim: () => epochClaim(storage), reached })
  const hosts = new TargetHosts([primary.hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase()], '--primary-url')
  const client = new UpstreamClient({ hosts, userAgent: input.userAgent, now, idleTimeoutMs: REPLY_TIMEOUT_MS })
  const mirrors = new MirrorsOfPrimary({ client, primary, token, reached })
  return {
    follower,
    vault,
    relay,
    mirrors,
    [Symbol.asyncDispose]: async () => {
      relay[Symbol.dispose]()
      client[Symbol.dispose]()
      await Promise.all([follower[Symbol.asyncDispose](), vault[Symbol.asyncDispose]()])
      connection[Symbol.dispose]()
    },
  }
}

function note(logger: Logger, primaryUrl: string, event: FollowerEvent): void {
  switch (event.kind) {
    case 'following':
      logger.info({ primary: primaryUrl, uuid: event.primaryUuid, from: event.from }, 'following the primary')
      return
    case 'failed':
      logger.warn({ primary: primaryUrl, reason: reasonOf(event.error), retryMs: Math.round(event.retryMs) }, 'the primary cannot be followed; it is tried again')
      return
    case 'stopped':
      logger.error({ primary: primaryUrl, reason: reasonOf(event.error) }, 'the primary is followed no further; reads go on with what is here')
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
