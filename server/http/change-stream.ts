import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ChangeJson } from '#log-format/api/changes.js'
import { nextSerial, type Serial } from '#log-format/serial.js'
import type { Caller } from '#server/auth/caller.js'
import type { ChangeFilter } from '#server/projections/changes.js'
import { readChanges } from '#server/stages/changes.js'
import type { Storage } from '#server/storage/storage.js'
import { ClientGone } from './client-gone.js'
import type { Deps } from './deps.js'
import { EVENT_STREAM_TYPE } from './negotiate.js'
import { setSerial } from './respond.js'

/** Changes read at a time: what a stream holds in memory. */
const CHANGES_AT_A_TIME = 100
/** While commits follow each other, a stream looks at them this often: many streams must not cost many reads a commit. */
const ROUND_MS = 100
/** After how long a client that lost its connection tries again. */
const RETRY_MS = 2000

export interface StreamInput {
  readonly caller: Caller
  readonly filter: ChangeFilter
  /** The newest serial that the client has seen. */
  readonly since: Serial
}

/**
 * Sends changes as server-sent events (HTML standard, 9.2), each with its
 * serial as id, for as long as client and server are there and the credentials
 * hold. What may be read is decided anew each time something is. Nothing waits
 * in memory for a slow client: the log is read on when it took what was sent.
 */
export async function streamChanges(deps: Deps, req: IncomingMessage, res: ServerResponse, input: StreamInput): Promise<void> {
  using place = deps.streams.enter({ anonymous: input.caller.user === undefined })
  using end = new ClientGone(res, place.stopping)
  const stillAs = credentialsOf(deps, req, input.caller)
  setSerial(res, deps.storage.head.serial)
  res.writeHead(200, {
    'Content-Type': EVENT_STREAM_TYPE,
    'X-Accel-Buffering': 'no', // nginx would wait for a full buffer
    Connection: 'close',
  })
  if (req.method === 'HEAD') {
    res.end()
    return
  }
  const { storage, limits, streams: { heartbeatMs } } = deps
  res.setTimeout(Math.max(limits.idleTimeoutMs, 2 * heartbeatMs), () => res.destroy()) // it takes not even heartbeats
  let seen = input.since
  await send(res, `retry: ${RETRY_MS}\n${idText(seen)}`, end.signal) // whoever is cut off now comes back to here

  while (!end.signal.aborted) {
    const round = performance.now()
    const caller = await stillAs()
    if (caller === undefined) break
    const page = await readChanges(storage, caller, { since: seen, limit: CHANGES_AT_A_TIME, filter: input.filter })
    const isBehind = page.next < page.head
    // Serials that were passed over are named at times, so that a client that comes back does not have them searched again.
    await send(res, page.changes.map(eventText).join('') + (isBehind ? idText(page.next) : ''), end.signal)
    seen = page.next
    if (isBehind) continue
    while ((await nextCommit(storage, seen, heartbeatMs, end.signal)) === 'silence') await send(res, `:\n${idText(seen)}`, end.signal)
    await pause(round + ROUND_MS - performance.now(), end.signal)
  }
  if (res.writableNeedDrain) res.destroy()
  else res.end()
}

function eventText(change: ChangeJson): string {
  return `id: ${change.serial}\ndata: ${JSON.stringify(change)}\n\n`
}

/** An event without data: clients note the id, and tell nobody. */
function idText(serial: Serial): string {
  return `id: ${serial}\n\n`
}

/**
 * Asks again who sends the request, as a token may end or a user go; undefined
 * when it is not the same any more. A password is exchanged for a token, whose
 * check costs nothing.
 */
function credentialsOf(deps: Deps, req: IncomingMessage, caller: Caller): () => Promise<Caller | undefined> {
  const { user, via } = caller
  if (user === undefined) return () => Promise.resolve(caller)
  const token = via === 'basic' ? deps.authenticator.tokenFor(user)?.token : undefined
  const headers = token === undefined ? req.headers : { 'x-devpi-auth': Buffer.from(`${user}:${token}`).toString('base64') }
  const address = deps.proxies.clientAddress(req)
  return async () => {
    const { caller: found } = await deps.authenticator.identify(headers, address)
    return found.user === user ? { ...found, ...(caller.policy && { policy: caller.policy }) } : undefined
  }
}

/** Resolves when the client has taken all but what the socket holds, or when the stream ends. */
async function send(res: ServerResponse, text: string, signal: AbortSignal): Promise<void> {
  if (text === '' || signal.aborted || res.write(text)) return
  await untilCalled(signal, (done) => {
    res.once('drain', done)
    return () => res.off('drain', done)
  })
}

/** Waits for an entry after `seen`. */
async function nextCommit(storage: Storage, seen: Serial, ms: number, signal: AbortSignal): Promise<'commit' | 'silence' | 'end'> {
  const waiting = new AbortController()
  let outcome: 'commit' | 'silence' | 'end' = 'end'
  await untilCalled(signal, (done) => {
    const settle = (found: typeof outcome) => (): void => {
      outcome = found
      done()
    }
    storage.reached(nextSerial(seen), waiting.signal).then(settle('commit'), () => undefined)
    const timer = setTimeout(settle('silence'), ms)
    return () => {
      clearTimeout(timer)
      waiting.abort()
    }
  })
  return outcome
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms <= 0) return
  await untilCalled(signal, (done) => {
    const timer = setTimeout(done, ms)
    return () => { clearTimeout(timer) }
  })
}

/** Resolves when `done` is called, which `start` must not do itself, or the signal is aborted; then calls what `start` returned. */
async function untilCalled(signal: AbortSignal, start: (done: () => void) => () => void): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      signal.removeEventListener('abort', done)
      stop()
      resolve()
    }
    signal.addEventListener('abort', done)
    const stop = start(done)
  })
}
