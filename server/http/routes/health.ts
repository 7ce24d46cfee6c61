import { type Response, Router } from 'express'
import type { HealthJson, ReadinessJson } from '#log-format/api/health.js'
import { NO_SERIAL } from '#log-format/serial.js'
import { fenceSentence } from '#server/storage/promotion.js'
import type { Deps } from '../deps.js'
import { mount } from '../methods.js'
import { hasFlag } from '../params.js'
import { sendJson } from '../respond.js'

/** `+health`: whether the process answers, and whether it is fit for all its work. For everybody, whatever they accept. */
export function healthRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/\\+health{/}', {
    get: (req, res) => (hasFlag(req, 'ready') ? sendReadiness(deps, res) : sendHealth(res)),
  })
  mount(router, '/\\+health/ready{/}', { get: (_req, res) => sendReadiness(deps, res) })
  return router
}

function sendHealth(res: Response): void {
  const health: HealthJson = { status: 'ok' }
  res.setHeader('Cache-Control', 'no-store')
  sendJson(res, 200, health)
}

async function sendReadiness(deps: Deps, res: Response): Promise<void> {
  const reasons = await obstacles(deps)
  const readiness: ReadinessJson = { status: reasons.length === 0 ? 'ready' : 'unready', reasons }
  res.setHeader('Cache-Control', 'no-store')
  sendJson(res, reasons.length === 0 ? 200 : 503, readiness)
}

async function obstacles({ storage, streams, follower }: Deps): Promise<readonly string[]> {
  const reasons: string[] = []
  if (streams.isStopping) reasons.push('the server is stopping')
  if (follower !== undefined && storage.head.serial === NO_SERIAL) reasons.push('this replica has nothing of its primary yet')
  if (storage.fence !== undefined) reasons.push(fenceSentence(storage.fence, storage.head.epoch))
  if (!(await storage.canWrite())) reasons.push(`${storage.isReplica ? 'entries of the primary could not be written; this' : 'the last change could not be written; the next one'} is tried again, and if that fails with room on the disk, the server has to be restarted`)
  if (!(await storage.hasRoom())) reasons.push('the disk is nearly full: changes are refused until there is room')
  return reasons
}
