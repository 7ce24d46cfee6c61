import { type Agent as HttpAgent, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from 'node:http'
import { type Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { Refusal } from '#log-format/api/refusal.js'
import { PageReader } from './page-reader.js'
import { proxyFor, type ProxySettings } from './proxies.js'
import { PlainProxyAgent, proxyAuthorization, TunnelAgent } from './proxy-agents.js'
import type { TargetHosts } from './target-hosts.js'
import { UpstreamBreaker } from './upstream-breaker.js'

export interface UpstreamCredentials {
  readonly username: string
  readonly password: string
}

/** Where a mirror asks. Credentials go to this very origin and nowhere else. */
export interface Upstream {
  /** With a slash at the end of its path, without credentials. */
  readonly url: URL
  readonly credentials?: UpstreamCredentials
}

export interface UpstreamRequest {
  readonly upstream: Upstream
  /** Of the upstream itself or wherever its pages lead. */
  readonly url: URL
  readonly method?: 'GET' | 'HEAD'
  readonly headers?: Readonly<Record<string, string>>
  /** Ends the request and the body. */
  readonly signal: AbortSignal
  /** How long the answer may take to begin, where that is shorter than for others. */
  readonly answerMs?: number
  /** Where a `Retry-After` is of this address: the server is asked for others meanwhile. */
  readonly isOneAddress?: boolean
}

export interface UpstreamReply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Where the answer came from in the end. */
  readonly url: URL
  /** As it was sent, still encoded. Must be read or destroyed. */
  readonly body: IncomingMessage
}

export interface UpstreamClientInput {
  readonly hosts: TargetHosts
  readonly userAgent: string
  /** ms since the epoch. */
  readonly now: () => number
  readonly idleTimeoutMs: number
  readonly isOffline?: boolean
  readonly proxies?: ProxySettings
  /** PEM certificates of authorities, instead of the built-in ones. */
  readonly ca?: string
}

const MOST_REDIRECTS = 5
/** An answer has begun, after all redirects, within so many times of what a server may be silent. */
const ANSWER_FACTOR = 1.6

/** Asks other servers for what users want of them, within limits of time, and only hosts that may be asked. */
export class UpstreamClient implements Disposable {
  readonly pages = new PageReader()
  readonly #hosts: TargetHosts
  readonly #agents: ReturnType<TargetHosts['keptAgents']>
  readonly #proxies: ProxySettings
  readonly #plainProxy: PlainProxyAgent | undefined
  readonly #tunnel: TunnelAgent | undefined
  readonly #userAgent: string
  readonly #breaker: UpstreamBreaker
  readonly #idleTimeoutMs: number
  readonly #isOffline: boolean

  /** A server that moves nothing for `idleTimeoutMs` has failed. Offline, none is asked. */
  constructor(input: UpstreamClientInput) {
    this.#hosts = input.hosts
    this.#agents = input.hosts.keptAgents(input.ca === undefined ? {} : { ca: input.ca })
    this.#proxies = input.proxies ?? { except: [] }
    const { http, https } = this.#proxies
    const options = { keepAlive: true, maxSockets: 32, maxFreeSockets: 8, timeout: 30_000, ...(input.ca !== undefined && { ca: input.ca }) }
    this.#plainProxy = http === undefined ? undefined : new PlainProxyAgent(new URL(http), options)
    this.#tunnel = https === undefined ? undefined : new TunnelAgent(new URL(https), options)
    this.#userAgent = input.userAgent
    this.#breaker = new UpstreamBreaker(input.now)
    this.#idleTimeoutMs = input.idleTimeoutMs
    this.#isOffline = input.isOffline ?? false
  }

  /**
   * Follows redirects; every hop is held against the hosts that are allowed,
   * also after its name is resolved. Whatever else is answered is the answer.
   * Refuses `upstream-failed` where there is none, in words that say no
   * credentials; at once for a server that could not be reached just now.
   */
  async open(wanted: UpstreamRequest): Promise<UpstreamReply> {
    let { url } = wanted
    const deadline = performance.now() + Math.min(this.#idleTimeoutMs * ANSWER_FACTOR, wanted.answerMs ?? Infinity)
    if (this.#isOffline) throw new Refusal('upstream-failed', `the server is offline and does not ask ${url.host}`)
    for (let hop = 0; hop <= MOST_REDIRECTS; hop += 1) {
      const reply = await this.#ask(url, wanted, { deadline, isRedirected: hop > 0 })
      const { location } = reply.headers
      if (![301, 302, 303, 307, 308].includes(reply.status) || location === undefined) return reply
      reply.body.destroy()
      url = redirected(location, url)
    }
    throw new Refusal('upstream-failed', `${wanted.url.host} redirects more than ${MOST_REDIRECTS} times`)
  }

  [Symbol.dispose](): void {
    this.#agents.http.destroy()
    this.#agents.https.destroy()
    this.#plainProxy?.destroy()
    this.#tunnel?.destroy()
  }

  async #ask(url: URL, wanted: UpstreamRequest, time: TimeLeft): Promise<UpstreamReply> {
    this.#breaker.check(url)
    try {
      this.#hosts.check(url)
      const reply = await this.#send(url, wanted, time)
      this.#breaker.answered(url, reply.status, wanted.isOneAddress === true ? undefined : reply.headers['retry-after'])
      return reply
    } catch (error) {
      if (error instanceof Refusal) throw new Refusal('upstream-failed', error.message, { cause: error }) // the caller did nothing that is forbidden
      if (!(error instanceof NoAnswer)) this.#breaker.failed(url)
      else if (!wanted.signal.aborted) this.#breaker.unanswered(url)
      throw new Refusal('upstream-failed', `${url.host} ${error instanceof NoAnswer ? 'did not answer' : 'could not be reached'} (${reasonOf(error, wanted.signal)})`, { cause: error })
    }
  }

  /** Directly, or by the proxy that the operator named: then what the name of the host leads to is the proxy's business. */
  #routeTo(url: URL): { readonly agent: HttpAgent | HttpsAgent; readonly path?: string; readonly headers?: Readonly<Record<string, string>> } {
    const proxy = proxyFor(this.#proxies, url)
    if (url.protocol === 'https:') return { agent: (proxy && this.#tunnel) ?? this.#agents.https }
    if (proxy === undefined || this.#plainProxy === undefined) return { agent: this.#agents.http }
    const authorization = proxyAuthorization(proxy)
    return {
      agent: this.#plainProxy,
      path: `${url.origin}${url.pathname}${url.search}`,
      ...(authorization !== undefined && { headers: { 'proxy-authorization': authorization } }),
    }
  }

  #send(url: URL, { upstream, method = 'GET', headers, signal }: UpstreamRequest, { deadline, isRedirected }: TimeLeft): Promise<UpstreamReply> {
    const isSecure = url.protocol === 'https:'
    const route = this.#routeTo(url)
    const authorization = url.origin === upstream.url.origin && upstream.credentials !== undefined ? basic(upstream.credentials) : undefined
    return new Promise((resolve, reject) => {
      const options = {
        method,
        ...route,
        headers: { ...headers, ...route.headers, 'user-agent': this.#userAgent, ...(authorization !== undefined && { authorization }) },
        signal,
        timeout: this.#idleTimeoutMs,
        maxHeaderSize: 32 * 1024,
      }
      const request: ClientRequest = isSecure ? httpsRequest(url, options) : httpRequest(url, options)
      let isConnected = false
      const late = (): unknown => request.destroy(new UpstreamTimeout())
      const timer = setTimeout(late, Math.max(0, deadline - performance.now()))
      request.on('timeout', late)
      request.on('socket', (socket) => {
        if (socket.connecting) socket.once(isSecure ? 'secureConnect' : 'connect', () => { isConnected = true })
        else isConnected = true
      })
      request.on('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(timer)
        reject(isConnected || (isRedirected && error instanceof UpstreamTimeout) ? new NoAnswer(error) : error)
      })
      request.on('response', (body) => {
        clearTimeout(timer)
        body.on('error', () => undefined) // whoever reads it hears of it
        resolve({ status: body.statusCode ?? 0, headers: body.headers, url, body })
      })
      request.end()
    })
  }
}

interface TimeLeft {
  /** Of the whole request, in the time of `performance.now()`. */
  readonly deadline: number
  /** The hops before took some of it: if a server is not reached in the rest, that says nothing of the server. */
  readonly isRedirected: boolean
}

/** The server was reached, and then this happened instead of an answer. */
class NoAnswer extends Error {
  readonly code: string

  constructor(cause: NodeJS.ErrnoException) {
    super(cause.message, { cause })
    this.code = cause.code ?? 'the connection failed'
  }
}

class UpstreamTimeout extends Error {
  readonly code = 'ETIMEDOUT'
}

function redirected(location: string, from: URL): URL {
  const url = URL.canParse(location, from.href) ? new URL(location, from) : undefined
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new Refusal('upstream-failed', `${from.host} redirects to no address of the web`)
  }
  url.username = ''
  url.password = ''
  return url
}

function basic({ username, password }: UpstreamCredentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

function reasonOf(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return 'it took too long'
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'the connection failed'
}
