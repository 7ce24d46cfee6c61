import { join } from 'node:path'
import { existsSync } from 'node:fs'
import { Refusal } from '#log-format/api/refusal.js'
import type { NodeTokens } from '#server/auth/node-token.js'
import { Follower, type FollowerEvent, type FollowerTimes } from '#server/replication/follower.js'
import type { Storage } from '#server/storage/storage.js'
import type { ServerConfig } from './config.js'
import type { Logger } from './logger.js'

/** What of a server is otherwise on a replica: it follows, and makes nothing by itself. */
export function followPrimary(input: {
  readonly storage: Storage
  readonly config: ServerConfig
  readonly primaryUrl: string
  readonly tokens: NodeTokens
  readonly now: () => number
  readonly logger: Logger
  readonly times?: Partial<FollowerTimes> | undefined
}): Follower {
  const { storage, config, primaryUrl, tokens, now, logger, times } = input
  return new Follower({
    storage,
    primaryUrl,
    tokens,
    outsideUrl: config.outsideUrl,
    now,
    report: (event) => { note(logger, primaryUrl, event) },
    ...(times && { times }),
  })
}

/** Refuses `invalid` a replica whose secret is not there yet: one of its own would open nothing. */
export function requireSharedSecret({ secretFile, serverDir }: ServerConfig): void {
  const path = secretFile ?? join(serverDir, '.secret')
  if (existsSync(path)) return
  throw new Refusal('invalid', `there is no secret file ${path}; a replica needs a copy of that of its primary, named with --secretfile`)
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
