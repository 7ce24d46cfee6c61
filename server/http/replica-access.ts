import type { IncomingMessage } from 'node:http'
import type { RequestHandler } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import type { NodeTokens } from '#server/auth/node-token.js'

/** What a replica names itself with, beside its token. */
export const REPLICA_HEADER = 'X-DEVPI-REPLICA-UUID'

/** Lets requests of replicas pass to `handler`, and refuses all others, whoever sends them. */
export function replicasOnly(deps: { readonly nodeTokens: NodeTokens }, handler: RequestHandler): RequestHandler {
  return (req, res, next) => {
    requireReplica(deps, req)
    return handler(req, res, next)
  }
}

/**
 * The uuid of the replica that sends the request. Refuses `unauthenticated`
 * what has no credentials, and `forbidden` all else that is not a token of
 * this secret for the node that the request names: users have no business
 * here, not even root, nor have two identities at once.
 */
export function requireReplica({ nodeTokens }: { readonly nodeTokens: NodeTokens }, { headers }: IncomingMessage): string {
  const { authorization, 'x-devpi-auth': other } = headers
  if (authorization === undefined && other === undefined) {
    throw new Refusal('unauthenticated', 'only replicas may ask for this, with a token of the shared secret', {
      headers: { 'WWW-Authenticate': 'Bearer realm="replication"' },
    })
  }
  const token = other === undefined ? /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1] : undefined
  const subject = token === undefined ? undefined : nodeTokens.read(token)
  if (subject === undefined) {
    throw new Refusal('forbidden', 'this is not for users, and no token of a replica with the same --secretfile as this server')
  }
  if (subject === 'expired') {
    throw new Refusal('forbidden', 'the token of this replica is not of this time; compare the clocks of both machines')
  }
  if (subject.node !== headers[REPLICA_HEADER.toLowerCase()]) {
    throw new Refusal('forbidden', `the token is of another replica than the one named in ${REPLICA_HEADER}`)
  }
  return subject.node
}
