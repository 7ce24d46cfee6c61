import { type Request, type Response, Router } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import { isSha256 } from '#server/storage/content-hash.js'
import { RESTRICTED_FILE_CACHE_CONTROL } from '../caching.js'
import type { Deps } from '../deps.js'
import { sendFile } from '../file-body.js'
import { mount } from '../methods.js'
import { replicasOnly } from '../replica-access.js'

/** `+blobs`: contents by their digest, for replicas that are to have what this node has. */
export function blobRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/\\+blobs/:sha256', { get: replicasOnly(deps, (req, res) => sendBlob(deps, req, res)) })
  return router
}

/** Out of the store alone: a content that is not here is fetched from nowhere, or two nodes would ask each other for ever. */
async function sendBlob({ blobs, limits }: Deps, req: Request, res: Response): Promise<void> {
  const { sha256 } = req.params
  const found = typeof sha256 === 'string' && isSha256(sha256) ? await blobs.stat(sha256) : undefined
  if (typeof sha256 !== 'string' || found === undefined) throw new Refusal('not-found', 'this server has no such content')
  const file = { sha256, size: found.size, contentType: 'application/octet-stream', headers: { 'Cache-Control': RESTRICTED_FILE_CACHE_CONTROL } }
  await sendFile(req, res, file, { blobs, idleTimeoutMs: limits.idleTimeoutMs })
}
