import { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { Refusal } from '#log-format/api/refusal.js'
import { PageReader } from './page-reader.js'
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
}

const MOST_REDIRECTS = 5

/** Asks other servers for what users want of them, within limits of time, and only hosts that may be asked. */
export class UpstreamClient implements Disposable {
  readonly pages = new PageReader()
  readonly #hosts: TargetHosts
  readonly #agents: ReturnType<TargetHosts['keptAgents']>
  readonly #userAgent: string
  readonly #breaker: UpstreamBreaker
  readonly #idleTimeoutMs: number
  readonly #isOffline: boolean

  /** A server that moves nothing for `idleTimeoutMs` has failed. Offline, none is asked. */
  constructor(input: UpstreamClientInput) {
    this.#hosts = input.hosts
    this.#agents = input.hosts.keptAgents()
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
    if (this.#isOffline) throw new Refusal('upstream-failed', `the server is offline and does not ask ${url.host}`)
    for (let hop = 0; hop <= MOST_REDIRECTS; hop += 1) {
      const reply = await this.#ask(url, wanted)
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
  }

  async #ask(url: URL, wanted: UpstreamRequest): Promise<UpstreamReply> {
    this.#breaker.check(url)
    try {
      this.#hosts.check(url)
      const reply = await this.#send(url, wanted)
      this.#breaker.answered(url, reply.status, reply.headers['retry-after'])
      return reply
    } catch (error) {
      if (error instanceof Refusal) throw new Refusal('upstream-failed', error.message, { cause: error }) // the caller did nothing that is forbidden
      this.#breaker.failed(url)
      throw new Refusal('upstream-failed', `${url.host} could not be reached (${reasonOf(error, wanted.signal)})`, { cause: error })
    }
  }

  #send(url: URL, { upstream, method = 'GET', headers, signal }: UpstreamRequest): Promise<UpstreamReply> {
    const isSecure = url.protocol === 'https:'
    const authorization = url.origin === upstream.url.origin && upstream.credentials !== undefined ? basic(upstream.credentials) : undefined
    return new Promise((resolve, reject) => {
      const options = {
        method,
        agent: isSecure ? this.#agents.https : this.#agents.http,
        headers: { ...headers, 'user-agent': this.#userAgent, ...(authorization !== undefined && { authorization }) },
        signal,
        timeout: this.#idleTimeoutMs,
        maxHeaderSize: 32 * 1024,
      }
      const request: ClientRequest = isSecure ? httpsRequest(url, options) : httpRequest(url, options)
      request.on('timeout', () => request.destroy(new UpstreamTimeout()))
      request.on('error', reject)
      request.on('response', (body) => {
        body.on('error', () => undefined) // whoever reads it hears of it
        resolve({ status: body.statusCode ?? 0, headers: body.headers, url, body })
      })
      request.end()
    })
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
