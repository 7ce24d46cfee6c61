import { type Request, type Response, Router } from 'express'
import { SNAPSHOT_TYPE } from '#server/storage/snapshot-blocks.js'
import { ClientGone } from '../client-gone.js'
import type { Deps } from '../deps.js'
import { mount } from '../methods.js'
import { replicasOnly } from '../replica-access.js'
import { setSerial } from '../respond.js'
import { taken } from '../taken.js'

/** `+snapshot`: the log together with the rows folded from it, for replicas that have nothing yet. */
export function snapshotRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/\\+snapshot', { get: replicasOnly(deps, (req, res) => sendSnapshot(deps, req, res)) })
  return router
}

async function sendSnapshot({ feed, storage, limits }: Deps, req: Request, res: Response): Promise<void> {
  const head = { 'Content-Type': SNAPSHOT_TYPE, 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' }
  setSerial(res, storage.head.serial)
  if (req.method === 'HEAD') {
    res.writeHead(200, head).end()
    return
  }
  using gone = new ClientGone(res)
  for await (const piece of feed.snapshot(gone.signal)) {
    if (!res.headersSent) res.writeHead(200, head)
    if (!(await taken(res, piece, limits.idleTimeoutMs, gone.signal))) break
  }
  if (res.writableNeedDrain) res.destroy()
  else res.end()
}
