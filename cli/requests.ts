import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Got, Method, OptionsInit, OptionsOfTextResponseBody, Progress } from 'got'
import { connectionFailure, connectionOptions } from './connection.js'
import type { Credentials } from './credentials.js'
import { Failure } from './failure.js'
import { isObject, parseJson } from './json.js'
import type { Reply } from './reply.js'
import type { Session } from './session.js'
import type { Terminal } from './terminal.js'
import { maskUrl } from './urls.js'

export interface RequestsOptions {
  readonly session: Session
  readonly credentials: Credentials
  readonly terminal: Terminal
  readonly env: NodeJS.ProcessEnv
  readonly version: string
  readonly timeoutMs: number
  /** Ends whatever is on its way. */
  readonly signal: AbortSignal
}

export interface Outgoing {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: () => string | Readable
  /** Done once it is redirected: what is there then is looked at, and not asked for again. */
  readonly thenLook?: true
}

/** How far a download is; the total is undefined while nobody has said it. */
export type Received = (bytes: number, total: number | undefined) => void

/** What requests for a text and streams both take. */
type SharedOptions = Omit<OptionsOfTextResponseBody, 'isStream' | 'responseType'>

const MOST_REDIRECTS = 10
const MOST_REPLY_BYTES = 512 * 2 ** 20
const MOST_EVENT_CHARACTERS = 8 * 2 ** 20
const CONNECT_TIMEOUT_MS = 10_000
/** Sent again: what changes nothing, after faults that pass. A server that is not there is told at once. */
const RETRY: OptionsInit['retry'] = {
  limit: 2,
  methods: ['GET', 'HEAD'],
  statusCodes: [429, 502, 503, 504],
  errorCodes: ['ECONNRESET', 'EPIPE', 'EAI_AGAIN'],
  maxRetryAfter: 20_000,
}

/** What goes over the network, with its limits, and comes back as it is. Fails with `CONNECT` or `TLS` when nothing comes. */
export class Requests {
  readonly #options: RequestsOptions

  constructor(options: RequestsOptions) {
    this.#options = options
  }

  /** Any request, its answer whatever it is. */
  async send(outgoing: Outgoing): Promise<Reply> {
    const { got } = await import('got')
    let current = outgoing
    for (let hop = 0; ; hop++) {
      const reply = await this.#once(got, current)
      const location = reply.headers['location']
      if (![301, 302, 303, 307, 308].includes(reply.status) || location === undefined) {
        if (hop > 0 && reply.url.replace(/\/$/, '') !== outgoing.url.replace(/\/$/, '')) {
          this.#options.terminal.debug(`redirected from ${maskUrl(outgoing.url)} to ${maskUrl(reply.url)}`)
        }
        return reply
      }
      if (hop >= MOST_REDIRECTS) throw new Failure('CONNECT', `${maskUrl(outgoing.url)} redirects in circles`)
      current = followed(current, reply.status, location)
    }
  }

  async #once(got: Got, { method, url, headers, body }: Outgoing): Promise<Reply> {
    const { terminal } = this.#options
    terminal.debug(`${method} ${maskUrl(url)}`)
    try {
      const request = got(url, {
        ...this.#requestOptions(method, url),
        responseType: 'text',
        headers: { ...this.#headers(url), ...headers },
        ...(body !== undefined && { body: body() }),
      })
      void request.on('downloadProgress', ({ transferred }) => {
        if (transferred > MOST_REPLY_BYTES) request.cancel('too much')
      })
      const response = await request
      const text = response.body
      const json = /^application\/([\w.-]+\+)?json\b/i.test(response.headers['content-type'] ?? '') ? parseJson(text) : undefined
      terminal.debug(`${String(response.statusCode)} ${response.statusMessage ?? ''}`)
      return {
        method,
        url,
        status: response.statusCode,
        reason: response.statusMessage ?? '',
        headers: Object.fromEntries(Object.entries(response.headers).map(([name, value]) => [name, String(value)])),
        text,
        json: isObject(json) ? json : undefined,
      }
    } catch (error) {
      throw connectionFailure(error, method, url)
    }
  }

  #requestOptions(method: string, url: string): SharedOptions {
    const { session, env, timeoutMs, signal } = this.#options
    return {
      ...connectionOptions(url, session, env),
      method: method as Method,
      throwHttpErrors: false,
      followRedirect: false,
      signal,
      retry: { ...RETRY, limit: method === 'GET' || method === 'HEAD' ? 2 : 0 },
      timeout: { lookup: CONNECT_TIMEOUT_MS, connect: CONNECT_TIMEOUT_MS, secureConnect: CONNECT_TIMEOUT_MS, socket: timeoutMs },
    }
  }

  #headers(url: string): Record<string, string> {
    const { credentials, version } = this.#options
    return { 'user-agent': `devpi-client/${version} (node${process.versions.node}; ${process.platform})`, ...credentials.headersFor(url) }
  }

  /** Downloads to a file and checks its digest; what does not have it is removed again. */
  async download(url: string, path: string, sha256: string | undefined, received?: Received): Promise<void> {
    const { got } = await import('got')
    const hash = createHash('sha256')
    try {
      const stream = got.stream(url, { ...this.#requestOptions('GET', url), headers: this.#headers(url), throwHttpErrors: true })
      stream.on('data', (chunk: Buffer) => hash.update(chunk))
      if (received !== undefined) stream.on('downloadProgress', ({ transferred, total }: Progress) => received(transferred, total))
      await pipeline(stream, createWriteStream(path))
    } catch (error) {
      await rm(path, { force: true })
      throw connectionFailure(error, 'GET', url)
    }
    const found = hash.digest('hex')
    if (sha256 === undefined || found === sha256) return
    await rm(path, { force: true })
    throw new Failure('NOT_FOUND', `${maskUrl(url)} has other contents than the index announces: sha256 ${found}, not ${sha256}`)
  }

  /** Server-sent events, until the connection ends. Rejects with a `Failure` when it could not be made or breaks. */
  async *events(url: string, signal: AbortSignal): AsyncGenerator<{ readonly id: string | undefined; readonly data: string }> {
    const { got } = await import('got')
    const { timeout: _, ...options } = this.#requestOptions('GET', url)
    const stream = got.stream(url, { ...options, headers: { ...this.#headers(url), accept: 'text/event-stream' }, throwHttpErrors: true, retry: { limit: 0 }, signal })
    try {
      let text = ''
      for await (const chunk of stream) {
        text += String(chunk)
        if (text.length > MOST_EVENT_CHARACTERS) throw new Failure('API_VERSION', `${maskUrl(url)} sends an event that is too long`)
        const events = text.split('\n\n')
        text = events.pop() ?? ''
        for (const event of events) yield { id: /^id: ?(.*)$/m.exec(event)?.[1], data: /^data: ?(.*)$/m.exec(event)?.[1] ?? '' }
      }
    } catch (error) {
      throw connectionFailure(error, 'GET', url)
    } finally {
      stream.destroy()
    }
  }
}

/** The request that a redirect asks for. One that changes something keeps its method and body, on the same host; 303 asks for the answer alone. */
function followed(outgoing: Outgoing, status: number, location: string): Outgoing {
  const { method, url, headers } = outgoing
  if (!URL.canParse(location, url)) throw new Failure('CONNECT', `${maskUrl(url)} redirects to '${location}', which is no address`)
  const target = new URL(location, url)
  if (method === 'GET' || method === 'HEAD') return { ...outgoing, url: target.href }
  if (outgoing.thenLook === true) return { method: 'HEAD', url: target.href, headers }
  if (status === 303) return { method: 'GET', url: target.href, headers: { accept: headers['accept'] ?? '*/*' } }
  if (target.hostname === new URL(url).hostname) return { ...outgoing, url: target.href }
  throw new Failure('CONNECT', `${method} ${maskUrl(url)} is redirected to ${maskUrl(target.href)}`, { hint: `select that server with \`devpi use ${maskUrl(target.origin)}\`` })
}
