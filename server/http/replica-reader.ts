import type { IncomingMessage } from 'node:http'
import { parseCredentials } from '#server/auth/credentials.js'
import type { Identity } from '#server/auth/identify.js'
import type { NodeTokens } from '#server/auth/node-token.js'
import { REPLICA_USER } from '#server/replication/mirrors-of-primary.js'

/**
 * A replica that reads an index for its own clients, whom it lets read or not
 * as this server would: it may read that one index, and do nothing else.
 */
export function readingReplica({ nodeTokens }: { readonly nodeTokens: NodeTokens }, request: IncomingMessage): Identity | undefined {
  const { method, url = '', headers } = request
  if (method !== 'GET' && method !== 'HEAD') return undefined
  const credentials = parseCredentials(headers)
  if (typeof credentials !== 'object' || credentials.user !== REPLICA_USER) return undefined
  const subject = nodeTokens.read(credentials.secret)
  const [, user, index] = /^\/([^/?]+)\/([^/?]+)\//.exec(url) ?? []
  if (typeof subject !== 'object' || user === undefined || index === undefined) return undefined
  return { caller: { user, via: 'token', scope: { actions: ['read'], indexes: [`${user}/${index}`] } }, status: 'ok' }
}
