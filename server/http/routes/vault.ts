import { once } from 'node:events'
import { type Request, type Response, Router } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import { NO_SERIAL, parseSerial, type Serial } from '#log-format/serial.js'
import { secretLines } from '#server/replication/secret-lines.js'
import { ClientGone } from '../client-gone.js'
import type { Deps } from '../deps.js'
import { mount } from '../methods.js'
import { replicasOnly } from '../replica-access.js'

const LINES_TYPE = 'application/x-ndjson'

/** `+vault`: verifiers of passwords, hashes of API tokens and credentials of upstreams, for replicas alone. */
export function vaultRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/\\+vault', { get: replicasOnly(deps, (req, res) => sendSecrets(deps, req, res)) })
  return router
}

/** Those that changed behind `?since=`, or all there are. */
async function sendSecrets({ storage, limits }: Deps, req: Request, res: Response): Promise<void> {
  const secrets = storage.secretsSince(sinceOf(req))
  res.writeHead(200, { 'Content-Type': LINES_TYPE, 'Cache-Control': 'no-store' })
  if (req.method === 'HEAD') return void res.end()
  res.setTimeout(limits.idleTimeoutMs, () => res.destroy()) // it takes nothing
  using gone = new ClientGone(res)
  for await (const line of secretLines(secrets)) {
    if (gone.signal.aborted) return
    if (!res.write(line)) await once(res, 'drain', { signal: gone.signal }).catch(() => undefined)
  }
  res.end()
}

function sinceOf({ query }: Request): Serial {
  const { since } = query
  if (since === undefined) return NO_SERIAL
  const serial = typeof since === 'string' ? parseSerial(since) : undefined
  if (serial === undefined) throw new Refusal('invalid', '`since` is no serial')
  return serial
}
