import { Router } from 'express'
import { firstSerial, streamChangelog } from '../changelog-stream.js'
import type { Deps } from '../deps.js'
import { mount } from '../methods.js'
import { noSuchRoute } from '../params.js'
import { requireReplica } from '../replica-access.js'

/** `+changelog/{serial}-`: the log itself, for replicas alone. */
export function changelogRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/\\+changelog/:serial', {
    get: async (req, res) => {
      const node = requireReplica(deps, req)
      const from = firstSerial(req.params['serial'])
      if (from === undefined) throw noSuchRoute()
      await streamChangelog(deps, req, res, { node, from })
    },
  })
  return router
}
