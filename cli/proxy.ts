import { Agent as HttpAgent, type ClientRequest, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Duplex } from 'node:stream'
import { connect as tlsConnect, type ConnectionOptions } from 'node:tls'

const CONNECT_TIMEOUT_MS = 10_000

/** The proxy for a URL out of `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case; undefined for none. */
export function proxyFor(url: string, env: NodeJS.ProcessEnv): URL | undefined {
  const { protocol, hostname, port } = new URL(url)
  const scheme = protocol.replace(':', '')
  if (isExcepted(hostname, port, env['no_proxy'] ?? env['NO_PROXY'] ?? '')) return undefined
  const chosen = [scheme, 'all'].flatMap((name) => [env[`${name}_proxy`], env[`${name.toUpperCase()}_PROXY`]]).find((value) => value !== undefined && value !== '')
  if (chosen === undefined) return undefined
  const text = chosen.includes('://') ? chosen : `http://${chosen}`
  return URL.canParse(text) && text.startsWith('http://') ? new URL(text) : undefined
}

/** Names with their subdomains, addresses, `host:port`, and `*` for all. */
function isExcepted(hostname: string, port: string, exceptions: string): boolean {
  return exceptions
    .split(/[,\s]+/)
    .filter((one) => one !== '')
    .some((one) => {
      const [, host = '', ofPort] = /^\*?\.?(.*?)(?::(\d+))?$/.exec(one) ?? []
      if (one === '*') return true
      return (ofPort === undefined || ofPort === port) && (hostname === host || hostname.endsWith(`.${host}`))
    })
}

/** Agents that send plain requests to the proxy whole, and encrypted ones through a tunnel that it opens. */
export function proxyAgents(proxy: URL): { readonly http: HttpAgent; readonly https: HttpsAgent } {
  return { http: new ForwardingAgent(proxy), https: new TunnellingAgent(proxy) }
}

interface Address {
  readonly host?: string | null
  readonly hostname?: string | null
  readonly port?: number | string | null
}

class ForwardingAgent extends HttpAgent {
  readonly #proxy: URL

  constructor(proxy: URL) {
    super()
    this.#proxy = proxy
  }

  /** Node's own hook between a request and its connection; it is not in its types. */
  addRequest(request: ClientRequest, options: Address): void {
    const { host, port } = options
    const authority = `${host ?? 'localhost'}:${String(port ?? 80)}`
    if (!request.path.startsWith('http://')) request.path = `http://${authority}${request.path}`
    const credentials = credentialsOf(this.#proxy)
    if (credentials !== undefined) request.setHeader('Proxy-Authorization', credentials)
    const add: unknown = Reflect.get(HttpAgent.prototype, 'addRequest')
    if (typeof add === 'function') {
      Reflect.apply(add, this, [request, { ...options, host: this.#proxy.hostname, hostname: this.#proxy.hostname, port: portOf(this.#proxy) }])
    }
  }
}

class TunnellingAgent extends HttpsAgent {
  readonly #proxy: URL

  constructor(proxy: URL) {
    super()
    this.#proxy = proxy
  }

  override createConnection(options: ConnectionOptions, done: (error: Error | null, stream?: Duplex) => void): null {
    const authority = `${options.host ?? 'localhost'}:${String(options.port ?? 443)}`
    const credentials = credentialsOf(this.#proxy)
    const connect = httpRequest({
      host: this.#proxy.hostname,
      port: portOf(this.#proxy),
      method: 'CONNECT',
      path: authority,
      headers: { host: authority, ...(credentials !== undefined && { 'Proxy-Authorization': credentials }) },
      timeout: CONNECT_TIMEOUT_MS,
      agent: false,
    })
    connect.once('timeout', () => connect.destroy(new Error(`the proxy ${this.#proxy.host} does not answer`)))
    connect.once('error', (error) => done(error))
    connect.once('connect', (reply, socket) => {
      if (reply.statusCode === 200) done(null, tlsConnect({ ...options, socket, servername: options.servername ?? options.host ?? '' }))
      else {
        socket.destroy()
        done(new Error(`the proxy ${this.#proxy.host} refused a tunnel with ${String(reply.statusCode)}`))
      }
    })
    connect.end()
    return null
  }
}

function credentialsOf({ username, password }: URL): string | undefined {
  if (username === '') return undefined
  return `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`
}

function portOf(proxy: URL): number {
  return proxy.port === '' ? 80 : Number(proxy.port)
}
