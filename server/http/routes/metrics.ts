import { Router } from 'express'
import { ROOT_USER } from '#server/auth/caller.js'
import { authorize } from '#server/commands/rights.js'
import { callerOf } from '../authenticate.js'
import type { Deps } from '../deps.js'
import { mount } from '../methods.js'
import { sendBody } from '../respond.js'

/** `+metrics`, for Prometheus: for this machine and the networks named by the operator, and for root from anywhere. */
export function metricsRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/\\+metrics', {
    get: async (req, res) => {
      if (!deps.isMonitor(req)) {
        const caller = await callerOf(deps, req)
        await authorize(deps.storage.reader(), caller, 'inspect', { user: ROOT_USER })
      }
      const { metrics } = deps
      sendBody(res, 200, await metrics.render(), { 'Content-Type': metrics.contentType, 'Cache-Control': 'no-store' })
    },
  })
  return router
}
