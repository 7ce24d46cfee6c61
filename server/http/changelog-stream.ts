import type { IncomingMessage, ServerResponse } from 'node:http'
import { CHANGELOG_TYPE } from '#log-format/framing.js'
import { Refusal } from '#log-format/api/refusal.js'
import { parseSerial, type Serial } from '#log-format/serial.js'
import { claimIn, epochClaim } from '#server/replication/epoch-claim.js'
import type { FeedStart } from '#server/replication/feed.js'
import type { ReplicaState } from '#server/replication/replica-table.js'
import { prevails } from '#server/storage/epoch-start.js'
import { ClientGone } from './client-gone.js'
import type { Deps } from './deps.js'
import { setSerial } from './respond.js'
import { taken } from './taken.js'

/** Digest of the entry before the first one that is asked for. */
const PARENT_HEADER = 'x-devpi-parent'
/** Which primary the replica believes to follow; either name, the older one being of the reference. */
const EXPECTED_HEADERS = ['x-devpi-expected-primary-id', 'x-devpi-expected-master-id'] as const
const MOST_OUTSIDE_URL_CHARACTERS = 500

/** Sends the log to a replica from the serial that it asks for, for as long as the feed's streams last. */
export async function streamChangelog(deps: Deps, req: IncomingMessage, res: ServerResponse, asked: { readonly node: string; readonly from: Serial }): Promise<void> {
  const { feed, replicas, node, storage } = deps
  const { from } = asked
  for (const [name, value] of Object.entries(epochClaim(storage))) res.setHeader(name, value) // on a refusal too: it says whether another history is one to come over to
  const parent = parentOf(req)
  // One of an earlier epoch may not know yet who was promoted; that it is the same history says the digest before it.
  const claim = claimIn(req.headers)
  const isOutdated = parent !== undefined && claim !== undefined && prevails(storage.reign, claim)
  if (!isOutdated) requireExpectedPrimary(req, node.primaryUuid)
  await feed.check({ from, parent })
  const state = stateOf(deps, req, from)
  replicas.set(asked.node, state)
  setSerial(res, storage.head.serial)
  res.writeHead(200, {
    'Content-Type': CHANGELOG_TYPE,
    'Cache-Control': 'no-store',
    'X-Accel-Buffering': 'no', // nginx would wait for a full buffer
  })
  if (req.method === 'HEAD') return void res.end()
  res.flushHeaders()
  await send(deps, res, from, state)
}

async function send(deps: Deps, res: ServerResponse, from: Serial, state: ReplicaState): Promise<void> {
  using gone = new ClientGone(res)
  state.following = true
  try {
    for await (const { bytes, serial } of deps.feed.stream(from, gone.signal)) {
      if (!(await taken(res, bytes, deps.limits.idleTimeoutMs, gone.signal))) break
      state.serial = serial
      state.seenMs = deps.now()
    }
  } finally {
    state.following = false
  }
  if (res.writableNeedDrain) res.destroy()
  else res.end()
}

/** Refuses `invalid` a replica that believes to follow another primary. */
function requireExpectedPrimary({ headers }: IncomingMessage, primaryUuid: string): void {
  for (const name of EXPECTED_HEADERS) {
    const expected = headers[name]
    if (expected === undefined || expected === '' || expected === primaryUuid) continue
    const shown = typeof expected === 'string' && /^[0-9a-f]{1,64}$/.test(expected) ? expected : 'something else'
    throw new Refusal('invalid', `this is the log of primary ${primaryUuid}, the replica expects ${shown}`)
  }
}

function parentOf({ headers }: IncomingMessage): FeedStart['parent'] {
  const parent = headers[PARENT_HEADER]
  if (parent === undefined) return undefined
  if (typeof parent !== 'string' || !/^[0-9a-f]{64}$/.test(parent)) throw new Refusal('invalid', 'X-DEVPI-PARENT is not a digest of 64 hex digits')
  return parent
}

function stateOf(deps: Deps, req: IncomingMessage, from: Serial): ReplicaState {
  const outsideUrl = req.headers['x-devpi-replica-outside-url']
  const isUrl = typeof outsideUrl === 'string' && outsideUrl.length <= MOST_OUTSIDE_URL_CHARACTERS && URL.canParse(outsideUrl)
  return {
    address: deps.proxies.clientAddress(req),
    outsideUrl: isUrl ? outsideUrl : undefined,
    serial: (from - 1) as Serial,
    following: false,
    seenMs: deps.now(),
  }
}

/** `12-` of the address: from this serial on. Undefined for anything else. */
export function firstSerial(text: unknown): Serial | undefined {
  return typeof text === 'string' && text.endsWith('-') ? parseSerial(text.slice(0, -1)) : undefined
}
