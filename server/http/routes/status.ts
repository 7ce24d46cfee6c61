import { Router } from 'express'
import type { MachineJson, StatusJson, StatusMetric } from '#log-format/api/status.js'
import { digestHex } from '#log-format/chain.js'
import { ROOT_USER } from '#server/auth/caller.js'
import { allows } from '#server/commands/rights.js'
import { fenceSentence } from '#server/storage/promotion.js'
import { readSetAside, SET_ASIDE_FACT } from '#server/storage/set-aside.js'
import { callerOf } from '../authenticate.js'
import type { Deps } from '../deps.js'
import { fileReplicationJson, fileReplicationMetrics } from '../file-replication-status.js'
import { mount } from '../methods.js'
import { requireJson } from '../negotiate-api.js'
import { pollingReplica, primaryAddress, replicaStatus } from '../replica-status.js'
import { sendResult } from '../respond.js'

/** `+status`, for monitoring and for clients that ask for versions. Where the server lives is for root alone. */
export function statusRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/\\+status', {
    get: async (req, res) => {
      requireJson(req)
      const caller = await callerOf(deps, req)
      const mayInspect = await allows(deps.storage.reader(), caller, 'inspect', { user: ROOT_USER })
      const files = deps.fileReplication && fileReplicationJson(deps.fileReplication, { mayInspect })
      const result = { ...statusJson(deps), ...files, ...(mayInspect && machineJson(deps)) }
      sendResult(res, { type: 'status', result, serial: deps.storage.head.serial })
    },
  })
  return router
}

function statusJson(deps: Deps): StatusJson {
  const { head, fence } = deps.storage
  const { serial, time, digest, epoch } = head
  return {
    uuid: deps.node.uuid,
    versioninfo: { 'devpi-server': deps.node.serverVersion },
    role: deps.follower === undefined ? 'MASTER' : 'REPLICA',
    serial,
    digest: digestHex(digest),
    epoch,
    ...(fence !== undefined && { fenced: fenceSentence(fence, epoch) }),
    'last-commit-timestamp': time / 1000,
    // Everything that follows a commit here happens in it.
    'event-serial': serial,
    'event-serial-timestamp': time / 1000,
    'event-serial-in-sync-at': time / 1000,
    metrics: metrics(deps),
    polling_replicas: {},
    ...(deps.follower && replicaStatus(deps.follower)),
  }
}

function machineJson({ facts, replicas, follower, storage }: Deps): MachineJson {
  const { serverdir, serverCode, host, port, outsideUrl } = facts()
  return {
    serverdir,
    'server-code': serverCode,
    host,
    port,
    'outside-url': outsideUrl ?? null,
    polling_replicas: Object.fromEntries(replicas.all().map(([node, state]) => [node, pollingReplica(state)])),
    ...(follower && primaryAddress(follower)),
    'set-aside': readSetAside(storage.fact(SET_ASIDE_FACT)),
  }
}

/** A few of those at `+metrics`. */
function metrics({ storage, pages, smallFiles, hotFiles, fileReplication }: Deps): readonly StatusMetric[] {
  const { batches, entries } = storage.writeCounts
  return [
    ['devpi_server_log_batches', 'counter', batches],
    ['devpi_server_log_entries', 'counter', entries],
    ['devpi_server_page_cache_hits', 'counter', pages.counts.hits],
    ['devpi_server_page_cache_misses', 'counter', pages.counts.misses],
    ['devpi_server_page_cache_size', 'gauge', pages.bytes],
    ['devpi_server_file_cache_size', 'gauge', smallFiles.bytes + hotFiles.bytes],
    ['devpi_server_memory_rss_bytes', 'gauge', process.memoryUsage.rss()],
    ...(fileReplication === undefined ? [] : fileReplicationMetrics(fileReplication)),
  ]
}
