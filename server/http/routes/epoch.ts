import { Router } from 'express'
import type { EpochReply } from '#server/replication/peer-watch.js'
import { epochStartText } from '#server/storage/epoch-start.js'
import type { Deps } from '../deps.js'
import { mount } from '../methods.js'
import { replicasOnly } from '../replica-access.js'
import { sendJson } from '../respond.js'

/** `+epoch`: how often the primary of this history has changed, for its other nodes. */
export function epochRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  const answer = (): EpochReply => {
    const { storage, nodeTokens, node, facts, follower } = deps
    const { outsideUrl } = facts()
    const { epoch, start, history = '' } = storage.reign
    return {
      uuid: node.uuid,
      epoch,
      start: start === undefined ? null : epochStartText(start),
      history,
      url: follower === undefined && storage.fence === undefined ? (outsideUrl ?? null) : null,
      gaveWayTo: storage.fence?.url ?? null,
      proof: nodeTokens.issue(node.uuid),
    }
  }
  mount(router, '/\\+epoch', {
    get: replicasOnly(deps, (_req, res) => {
      res.setHeader('Cache-Control', 'no-store')
      sendJson(res, 200, answer())
    }),
  })
  return router
}
