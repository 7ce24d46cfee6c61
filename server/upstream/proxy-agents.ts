import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, type AgentOptions, request as httpsRequest, type RequestOptions } from 'node:https'
import { connect as connectTcp, type Socket } from 'node:net'
import { type Duplex, PassThrough } from 'node:stream'
import { connect as connectTls } from 'node:tls'

type Connected = (error: Error | null, socket: Duplex) => void

/** How long a proxy may take for a connection. */
const CONNECT_MS = 10_000

/** `Basic`, of the user and password in the URL of a proxy; undefined without. */
export function proxyAuthorization({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined
  return `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`
}

/** Sends requests for `http:` addresses to a proxy, which they name in full. */
export class PlainProxyAgent extends HttpAgent {
  readonly #proxy: URL
  readonly #ca: string | undefined

  constructor(proxy: URL, options: AgentOptions) {
    super(options)
    this.#proxy = proxy
    this.#ca = typeof options.ca === 'string' ? options.ca : undefined
  }

  override createConnection(): Duplex {
    const address = { host: hostOf(this.#proxy), port: portOf(this.#proxy) }
    if (this.#proxy.protocol === 'http:') return connectTcp(address)
    return connectTls({ ...address, ...(this.#ca !== undefined && { ca: this.#ca }) })
  }
}

/** Reaches `https:` servers through tunnels that a proxy makes (RFC 9110, 9.3.6). The proxy sees neither requests nor answers. */
export class TunnelAgent extends HttpsAgent {
  readonly #proxy: URL
  readonly #ca: string | undefined

  constructor(proxy: URL, options: AgentOptions) {
    super(options)
    this.#proxy = proxy
    this.#ca = typeof options.ca === 'string' ? options.ca : undefined
  }

  override createConnection(options: RequestOptions, connected?: Connected): undefined {
    const target = `${options.host?.includes(':') === true ? `[${options.host}]` : options.host}:${options.port}`
    const authorization = proxyAuthorization(this.#proxy)
    const send = this.#proxy.protocol === 'http:' ? httpRequest : httpsRequest
    const request = send({
      method: 'CONNECT',
      host: hostOf(this.#proxy),
      port: portOf(this.#proxy),
      path: target,
      agent: false,
      timeout: CONNECT_MS,
      headers: { host: target, ...(authorization !== undefined && { 'proxy-authorization': authorization }) },
      ...(this.#ca !== undefined && { ca: this.#ca }),
    })
    const fail = (error: Error): void => connected?.(error, new PassThrough()) // nobody looks at it
    request.on('timeout', () => request.destroy(new ProxyFailure('ETIMEDOUT')))
    request.on('error', fail)
    request.on('response', (response) => {
      response.resume()
      request.destroy(new ProxyFailure(`the proxy answered ${response.statusCode}`))
    })
    request.on('connect', ({ statusCode }, socket: Socket) => {
      socket.setTimeout(0)
      if (statusCode !== 200) {
        socket.destroy()
        fail(new ProxyFailure(`the proxy answered ${statusCode}`))
        return
      }
      connected?.(null, connectTls({ socket, host: options.host ?? '', servername: options.servername ?? '', ...(this.#ca !== undefined && { ca: this.#ca }) }))
    })
    request.end()
    return undefined
  }
}

/** `code` is what whoever asked is told. */
class ProxyFailure extends Error {
  readonly code: string

  constructor(code: string) {
    super(code)
    this.code = code
  }
}

function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1')
}

function portOf({ port, protocol }: URL): number {
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)
}
