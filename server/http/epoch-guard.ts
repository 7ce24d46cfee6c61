import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { NodeTokens } from '#server/auth/node-token.js'
import { claimIn, type EpochClaim, heedEpoch } from '#server/replication/epoch-claim.js'
import { RELAY_HEADER } from '#server/replication/write-relay.js'
import { prevails } from '#server/storage/epoch-start.js'
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
  const relayed = headers[RELAY_HEADER.toLowerCase()]
  const claim = claimOf(headers, relayed !== undefined)
  if (claim === undefined || storage.isReplica || !prevails(claim, storage.reign)) return
  const token = typeof relayed === 'string' ? relayed : /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]
  const subject = token === undefined ? undefined : nodeTokens.read(token)
  if (typeof subject !== 'object' || subject.node !== headers[REPLICA_HEADER.toLowerCase()]) return
  if (await heedEpoch(storage, subject.node, claim)) onFenced()
}

/** What a node of an earlier release relays may have a header of its client in it that says how an epoch began; the node says it itself where it follows. */
function claimOf(headers: IncomingHttpHeaders, isRelayed: boolean): EpochClaim | undefined {
  const claim = claimIn(headers)
  return claim !== undefined && isRelayed ? { ...claim, start: undefined } : claim
}
