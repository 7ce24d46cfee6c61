import { Router } from 'express'
import { hasFullRights } from '#server/auth/permissions.js'
import { callerOf } from '../authenticate.js'
import type { Deps } from '../deps.js'
import { mount } from '../methods.js'
import { requireJson } from '../negotiate-api.js'
import { sendResult } from '../respond.js'

/** `+status`, for monitoring. Where the server lives on its machine is shown to the logged in only. */
export function statusRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/\\+status', {
    get: async (req, res) => {
      requireJson(req)
      const caller = await callerOf(deps, req)
      const { serial, time } = deps.storage.head
      const { serverdir, host, port, outsideUrl } = deps.facts()
      const { batches, entries } = deps.storage.writeCounts
      const result = {
        uuid: deps.node.uuid,
        versioninfo: { 'devpi-server': deps.node.serverVersion },
        ...(hasFullRights(caller) && { serverdir, host, port, 'outside-url': outsideUrl ?? null }),
        role: 'MASTER',
        serial,
        'last-commit-timestamp': time / 1000,
        // Everything that follows a commit here happens in it.
        'event-serial': serial,
        'event-serial-timestamp': time / 1000,
        'event-serial-in-sync-at': time / 1000,
        metrics: [
          ['devpi_server_log_batches', 'counter', batches],
          ['devpi_server_log_entries', 'counter', entries],
          ['devpi_server_memory_rss_bytes', 'gauge', process.memoryUsage.rss()],
        ],
        polling_replicas: {},
      }
      sendResult(res, { type: 'status', result, serial })
    },
  })
  return router
}
