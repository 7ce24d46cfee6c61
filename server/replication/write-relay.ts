import { Agent as HttpAgent, type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders, request as httpRequest, type ServerResponse } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { pipeline } from 'node:stream/promises'
import { Refusal } from '#log-format/api/refusal.js'
import { parseSerial, type Serial } from '#log-format/serial.js'
import { EPOCH_HEADER, EPOCH_START_HEADER, HISTORY_HEADER, PRIMARY_URL_HEADER } from './epoch-claim.js'

/** Names the node that relays a request, with a token of the shared secret beside the credentials of the client. */
export const RELAY_HEADER = 'X-DEVPI-RELAY'
/** Of the client, as the node that relays sees it. */
export const CLIENT_ADDRESS_HEADER = 'X-DEVPI-CLIENT-ADDRESS'
/** What stands in front of links for that client. Not `X-Outside-Url`, which proxies before the primary set for their own clients. */
export const CLIENT_OUTSIDE_URL_HEADER = 'X-DEVPI-CLIENT-OUTSIDE-URL'
/** Uuids of the nodes that relayed a request so far. Nothing is proven by it: what it can do is to stop the request. */
const RELAYED_BY_HEADER = 'X-DEVPI-RELAYED-BY'

export interface WriteRelayOptions {
  /** Address of the primary. */
  readonly primary: URL
  /** Which replica this is, and its proof; new for each request. */
  readonly credentials: () => { readonly node: string; readonly token: string }
  /** What this node says of its log; new for each request. */
  readonly claim?: () => Readonly<Record<string, string>>
  /** Resolves when this node shows what the primary had at a serial; rejects when the signal is aborted before. */
  readonly reached: (serial: Serial, signal: AbortSignal) => Promise<void>
  readonly limits?: Partial<RelayLimits>
}

export interface RelayLimits {
  readonly connectMs: number
  /** So long nothing at all may move. Some changes, such as a push to another server, take the primary minutes. */
  readonly idleMs: number
  /** An answer is held back at most this long until this node has what it tells of. */
  readonly waitMs: number
}

const LIMITS: RelayLimits = { connectMs: 10_000, idleMs: 600_000, waitMs: 20_000 }
const MOST_SOCKETS = 256

/** How the client is known here. */
export interface RelayedClient {
  /** The path and query that it asked for, without the sub-path of this node. */
  readonly path: string
  readonly address: string
  /** What stands in front of the links that it gets. */
  readonly outsideUrl: string
}

/**
 * Sends what changes something to the primary, of any size, as it comes, and
 * its answer back once this node has caught up with it: so whoever changes
 * something here sees it here. Nothing is sent twice.
 */
export class WriteRelay implements Disposable {
  readonly #options: WriteRelayOptions
  readonly #limits: RelayLimits
  /** Of answers that are held back. */
  readonly #waiting = new Set<AbortController>()
  #isLeft = false
  readonly #agents = {
    http: new HttpAgent({ keepAlive: true, maxSockets: MOST_SOCKETS, maxFreeSockets: 16 }),
    https: new HttpsAgent({ keepAlive: true, maxSockets: MOST_SOCKETS, maxFreeSockets: 16 }),
  }

  constructor(options: WriteRelayOptions) {
    this.#options = options
    this.#limits = { ...LIMITS, ...options.limits }
  }

  /**
   * Refuses `not-available` when the primary is not there, or the request comes back to this node, and
   * `upstream-failed` when it went away before it answered, or is followed no more before this node has what it answered.
   */
  async relay(request: IncomingMessage, response: ServerResponse, client: RelayedClient): Promise<void> {
    if (relayedBy(request).includes(this.#options.credentials().node)) {
      throw new Refusal('not-available', `this server and ${this.#options.primary.host} follow each other, and none of them is the primary: nothing can be changed`)
    }
    using exchange = new Exchange(this.#send(request, client), this.#options.primary)
    const gone = (): void => { exchange.abandon() }
    response.once('close', gone)
    if (response.destroyed) gone()
    using patience = new Patience(request)
    try {
      const answer = await exchange.answerTo(request)
      const status = answer.statusCode ?? 502
      const isBehind = status < 400 && !(await this.#caughtUp(answer))
      patience[Symbol.dispose]()
      response.writeHead(status, answer.statusMessage ?? '', [...keptHeaders(answer), 'X-DEVPI-PROXY', 'replica', ...(isBehind ? ['X-DEVPI-REPLICA-BEHIND', 'yes'] : [])])
      await pipeline(answer, response).catch(() => { response.destroy() }) // half an answer must not pass for a whole one
    } finally {
      response.off('close', gone)
    }
  }

  [Symbol.dispose](): void {
    this.#isLeft = true
    for (const wait of this.#waiting) wait.abort()
    this.#agents.http.destroy()
    this.#agents.https.destroy()
  }

  #send(request: IncomingMessage, client: RelayedClient): ClientRequest {
    const { primary, credentials, claim } = this.#options
    const isSecure = primary.protocol === 'https:'
    const { node, token } = credentials()
    const headers = {
      ...sentHeaders(request),
      ...claim?.(),
      'X-DEVPI-REPLICA-UUID': node,
      [RELAYED_BY_HEADER]: [...relayedBy(request), node].join(', '),
      [RELAY_HEADER]: token,
      [CLIENT_ADDRESS_HEADER]: client.address,
      [CLIENT_OUTSIDE_URL_HEADER]: client.outsideUrl,
    }
    const options = {
      host: primary.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: primary.port === '' ? undefined : Number(primary.port),
      method: request.method ?? 'POST',
      path: primary.pathname.replace(/\/$/, '') + client.path,
      headers,
      agent: isSecure ? this.#agents.https : this.#agents.http,
      timeout: this.#limits.connectMs,
      maxHeaderSize: 32 * 1024,
    }
    const sent = isSecure ? httpsRequest(options) : httpRequest(options)
    sent.once('socket', (socket) => {
      const connected = (): void => { sent.setTimeout(this.#limits.idleMs) }
      if (socket.connecting) socket.once(isSecure ? 'secureConnect' : 'connect', connected)
      else connected()
    })
    return sent
  }

  /** Whether this node got as far as the primary was when it answered. */
  async #caughtUp({ headers }: IncomingMessage): Promise<boolean> {
    const stated = headers['x-devpi-serial']
    const serial = typeof stated === 'string' ? parseSerial(stated) : undefined
    if (serial === undefined) return true
    const late = new AbortController()
    const timer = setTimeout(() => { late.abort() }, this.#limits.waitMs)
    this.#waiting.add(late)
    try {
      await this.#options.reached(serial, late.signal)
      return true
    } catch (error) {
      // A serial that comes now is of another primary: it says nothing of this change.
      if (this.#isLeft) throw new Refusal('upstream-failed', `the primary ${this.#options.primary.host} made the change, but is followed no more since; look whether it is here before trying again`, { cause: error })
      if (late.signal.aborted) return false
      throw error
    } finally {
      this.#waiting.delete(late)
      clearTimeout(timer)
    }
  }
}

/** Once a client has sent all, nothing moves on its connection until the primary has answered, whose limit is then the one that counts. */
class Patience implements Disposable {
  readonly #request: IncomingMessage
  readonly #idleMs: number

  constructor(request: IncomingMessage) {
    this.#request = request
    this.#idleMs = request.socket.timeout ?? 0
    request.once('end', this.#onSent)
  }

  [Symbol.dispose](): void {
    this.#request.off('end', this.#onSent)
    if (this.#request.complete) this.#request.socket.setTimeout(this.#idleMs)
  }

  readonly #onSent = (): void => {
    this.#request.socket.setTimeout(0)
  }
}

/** One request to the primary, from its first byte to the last of its answer. */
class Exchange implements Disposable {
  readonly #sent: ClientRequest
  readonly #primary: URL
  #answer: IncomingMessage | undefined
  #fault: unknown
  #isConnected = false

  constructor(sent: ClientRequest, primary: URL) {
    this.#sent = sent
    this.#primary = primary
    sent.once('socket', (socket) => {
      const connected = (): void => { this.#isConnected = true }
      if (socket.connecting) socket.once('connect', connected)
      else connected()
    })
    sent.on('timeout', () => sent.destroy(Object.assign(new Error('nothing moves'), { code: 'ETIMEDOUT' })))
    sent.on('error', (error) => (this.#fault ??= error)) // also a late one, when nobody waits any more
  }

  /** Sends the body along and resolves with the head of the answer, which may come before the body has ended. */
  async answerTo(request: IncomingMessage): Promise<IncomingMessage> {
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      this.#sent.once('response', resolve)
      this.#sent.once('close', () => { reject(this.#refusal()) })
    })
    request.pipe(this.#sent)
    request.once('aborted', () => { this.abandon() })
    this.#answer = await answered
    this.#answer.on('error', () => undefined) // whoever reads it hears of it
    return this.#answer
  }

  /** Nobody waits for an answer any more; what is under way at the primary may still happen there. */
  abandon(): void {
    this.#sent.destroy()
  }

  [Symbol.dispose](): void {
    if (this.#answer?.complete !== true) this.#sent.destroy()
  }

  #refusal(): Refusal {
    const { host } = this.#primary
    const options = { cause: this.#fault }
    if (!this.#isConnected) {
      return new Refusal('not-available', `the primary ${host} cannot be reached, and this server is a replica of it: it can be read, but nothing can be changed now`, options)
    }
    return new Refusal('upstream-failed', `the primary ${host} went away before it answered; whether it made the change is not known, so look before trying again`, options)
  }
}

const LENGTH = 'content-length'
/** Of one connection only (RFC 9110, 7.6.1), or said anew. */
const NOT_PASSED_ON: ReadonlySet<string> = new Set([
  'connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection', 'te', 'trailer', 'trailers', 'transfer-encoding', 'upgrade',
])
const NOT_SENT: ReadonlySet<string> = new Set([
  ...NOT_PASSED_ON, 'host', 'expect', 'x-outside-url', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-prefix', 'x-real-ip', 'forwarded',
  RELAY_HEADER.toLowerCase(), CLIENT_ADDRESS_HEADER.toLowerCase(), CLIENT_OUTSIDE_URL_HEADER.toLowerCase(), 'x-devpi-replica-uuid', RELAYED_BY_HEADER.toLowerCase(),
  EPOCH_HEADER.toLowerCase(), EPOCH_START_HEADER.toLowerCase(), HISTORY_HEADER.toLowerCase(), PRIMARY_URL_HEADER.toLowerCase(), // of a node, and believed beside its token
])
/** Which node answers, and its epoch, is said by this one. */
const NOT_KEPT: ReadonlySet<string> = new Set([...NOT_PASSED_ON, 'x-devpi-uuid', EPOCH_HEADER.toLowerCase()])

/**
 * What the primary hears of a request. How long the body is, is always said:
 * of some methods, `DELETE` for one, Node sends a body that has neither a length nor
 * chunks as it is, and the primary would take it for the next request on the connection (RFC 9112, 6).
 */
function sentHeaders({ rawHeaders, headers }: IncomingMessage): OutgoingHttpHeaders {
  const named = namedIn(headers.connection)
  const sent = new Map<string, string | string[]>()
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? '').toLowerCase()
    const value = rawHeaders[at + 1] ?? ''
    if (NOT_SENT.has(name) || (named.has(name) && name !== LENGTH)) continue
    const before = sent.get(name)
    sent.set(name, before === undefined ? value : [before, value].flat())
  }
  if (headers['transfer-encoding'] !== undefined) sent.set('transfer-encoding', 'chunked')
  return Object.fromEntries(sent)
}

function keptHeaders({ rawHeaders, headers }: IncomingMessage): string[] {
  const named = namedIn(headers.connection)
  return rawHeaders.flatMap((name, at) => {
    const lower = name.toLowerCase()
    return at % 2 === 1 || NOT_KEPT.has(lower) || named.has(lower) ? [] : [name, rawHeaders[at + 1] ?? '']
  })
}

function relayedBy({ headers }: IncomingMessage): readonly string[] {
  const stated = headers[RELAYED_BY_HEADER.toLowerCase()]
  return typeof stated === 'string' ? stated.split(', ') : []
}

function namedIn(connection: string | undefined): ReadonlySet<string> {
  return new Set((connection ?? '').split(',').map((name) => name.trim().toLowerCase()))
}
