import { type Request, type Response, Router } from 'express'
import type { ChangesJson } from '#log-format/api/changes.js'
import { NO_SERIAL } from '#log-format/serial.js'
import { readChanges } from '#server/stages/changes.js'
import { callerOf } from '../authenticate.js'
import { streamChanges } from '../change-stream.js'
import { changesQuery, resumedFrom } from '../changes-query.js'
import type { Deps } from '../deps.js'
import { mount } from '../methods.js'
import { EVENT_STREAM_TYPE, JSON_TYPE, preferredType } from '../negotiate.js'
import { noSuchRoute } from '../params.js'
import { sendResult } from '../respond.js'

/** `+changes`: what happened, as far as the caller may know it, page by page or as it happens. */
export function changesRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/\\+changes', { get: (req, res) => sendChanges(deps, req, res) })
  return router
}

async function sendChanges(deps: Deps, req: Request, res: Response): Promise<void> {
  const type = preferredType(req.headers.accept, [JSON_TYPE, EVENT_STREAM_TYPE])
  if (type === undefined) throw noSuchRoute()
  const { since, limit, filter } = changesQuery(req)
  const caller = await callerOf(deps, req)
  res.setHeader('Vary', 'Accept')
  res.setHeader('Cache-Control', 'no-store')
  if (type === EVENT_STREAM_TYPE) {
    await streamChanges(deps, req, res, { caller, filter, since: resumedFrom(req) ?? since ?? deps.storage.head.serial })
    return
  }
  const { changes, next, head } = await readChanges(deps.storage, caller, { since: since ?? NO_SERIAL, limit, filter })
  const result: ChangesJson = { changes, next, more: next < head }
  sendResult(res, { type: 'changes', result, serial: head })
}
