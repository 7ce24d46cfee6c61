import type { RequestHandler } from 'express'
import type { WriteRelay } from '#server/replication/write-relay.js'
import type { Deps } from './deps.js'
import { drainOrClose } from './request-body.js'

/** Hands what changes something over to the primary, as this client's. */
export function relayWrites(relay: WriteRelay, { proxies, outsideUrl }: Pick<Deps, 'proxies' | 'outsideUrl'>): RequestHandler {
  return async (req, res) => {
    const { base, prefix } = outsideUrl(req)
    const path = req.originalUrl
    await relay.relay(req, res, {
      path: prefix !== '' && path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : path,
      address: proxies.clientAddress(req),
      outsideUrl: base,
    })
    drainOrClose(req, res) // the primary may have answered before the body was read to its end
  }
}
