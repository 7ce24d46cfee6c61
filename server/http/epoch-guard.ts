import type { IncomingMessage } from 'node:http'
import type { NodeTokens } from '#server/auth/node-token.js'
import { claimIn, heedEpoch } from '#server/replication/epoch-claim.js'
import { RELAY_HEADER } from '#server/replication/write-relay.js'
import type { Storage } from '#server/storage/storage.js'
import { REPLICA_HEADER } from './replica-access.js'

export interface EpochGuard {
  readonly storage: Storage
  readonly nodeTokens: NodeTokens
  /** Called when the storage takes no more changes. */
  readonly onFenced: () => void
}

/**
 * Looks at the epoch that a request names, before it is answered. Only who
 * shows with a token to be a node of the shared secret is believed; the header alone,
 * which any client can send, does nothing.
 */
export async function meetEpoch({ storage, nodeTokens, onFenced }: EpochGuard, { headers }: IncomingMessage): Promise<void> {
  const claim = claimIn(headers)
  if (claim === undefined || storage.isReplica || claim.epoch <= storage.head.epoch) return
  const relayed = headers[RELAY_HEADER.toLowerCase()]
  const token = typeof relayed === 'string' ? relayed : /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]
  const subject = token === undefined ? undefined : nodeTokens.read(token)
  if (typeof subject !== 'object' || subject.node !== headers[REPLICA_HEADER.toLowerCase()]) return
  if (await heedEpoch(storage, subject.node, claim)) onFenced()
}
