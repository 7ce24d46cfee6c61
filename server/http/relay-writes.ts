import type { RequestHandler } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import type { WriteRelay } from '#server/replication/write-relay.js'
import type { Deps } from './deps.js'
import { drainOrClose } from './request-body.js'
import { stripPrefix } from './urls.js'

/** Hands what changes something over to the primary, as this client's. */
export function relayWrites(relay: WriteRelay, { proxies, outsideUrl }: Pick<Deps, 'proxies' | 'outsideUrl'>): RequestHandler {
  return async (req, res) => {
    const { base, prefix } = outsideUrl(req)
    await relay.relay(req, res, {
      path: plainPath(stripPrefix(req.originalUrl, prefix)),
      address: proxies.clientAddress(req),
      outsideUrl: base,
    })
    drainOrClose(req, res) // the primary may have answered before the body was read to its end
  }
}

/**
 * Refuses `invalid` what could lead out of the address of the primary: another server may be beside it on its
 * machine, and would get the token of this one.
 */
function plainPath(path: string): string {
  const segments = path.replace(/\?.*$/s, '').replace(/%2e/gi, '.').split(/[/\\]|%2f|%5c/i)
  if (path.startsWith('/') && !segments.includes('..') && !segments.includes('.')) return path
  throw new Refusal('invalid', 'the address is no path, or has . or .. in it')
}
