import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import type { NodeTokens } from '#server/auth/node-token.js'
import { CLIENT_ADDRESS_HEADER, CLIENT_OUTSIDE_URL_HEADER, RELAY_HEADER } from '#server/replication/write-relay.js'
import type { TrustedProxies } from './peers.js'
import { REPLICA_HEADER } from './replica-access.js'

/**
 * Replicas are believed, as trusted proxies are, about where the client is
 * whose request they relay, and at which address it sees the server: what they
 * relay has a token of the shared secret beside the client's own credentials.
 */
export function trustReplicas(proxies: TrustedProxies, nodeTokens: NodeTokens): TrustedProxies {
  return {
    trusts: (request) => isRelayed(request, nodeTokens) || proxies.trusts(request),
    clientAddress: (request) => {
      const stated = request.headers[CLIENT_ADDRESS_HEADER.toLowerCase()]
      if (typeof stated === 'string' && isIP(stated) !== 0 && isRelayed(request, nodeTokens)) return stated
      return proxies.clientAddress(request)
    },
    relayedUrl: (request) => {
      const stated = request.headers[CLIENT_OUTSIDE_URL_HEADER.toLowerCase()]
      return typeof stated === 'string' && isRelayed(request, nodeTokens) ? stated : undefined
    },
  }
}

function isRelayed({ headers }: IncomingMessage, nodeTokens: NodeTokens): boolean {
  const token = headers[RELAY_HEADER.toLowerCase()]
  if (typeof token !== 'string') return false
  const subject = nodeTokens.read(token)
  return typeof subject === 'object' && subject.node === headers[REPLICA_HEADER.toLowerCase()]
}
