import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { STATUS_CODES } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Got, Method, OptionsInit, OptionsOfTextResponseBody } from 'got'
import { connectionFailure, connectionOptions } from './connection.js'
import { Failure } from './failure.js'
import { isObject, type JsonObject, listOf, objectOf, parseJson, textOf } from './json.js'
import { type FormFile, multipart } from './multipart.js'
import type { Session } from './session.js'
import type { Terminal } from './terminal.js'
import { isBelow, maskUrl, parentFolders, type UrlCredentials } from './urls.js'

export interface Reply {
  readonly method: string
  /** Where it came from in the end. */
  readonly url: string
  readonly status: number
  /** Of the status line: some servers explain themselves there. */
  readonly reason: string
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  /** The body, if it is a JSON object. */
  readonly json: JsonObject | undefined
}

export interface ApiOptions {
  readonly json?: unknown
  /** What the reply has to be of, such as `indexconfig`. */
  readonly type?: string
  /** Replies with these statuses are handed over instead of failing. */
  readonly tolerate?: readonly number[] | 'all'
  readonly checkVersion?: boolean
}

export interface ClientOptions {
  readonly session: Session
  readonly terminal: Terminal
  readonly env: NodeJS.ProcessEnv
  readonly version: string
  readonly timeoutMs: number
  /** Ends whatever is on its way. */
  readonly signal: AbortSignal
}

interface Outgoing {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: () => string | Readable
}

export interface Login {
  readonly user: string
  readonly secret: string
  /** The server it is for. */
  readonly root: string
  /** Taken from the environment, so that nothing stored is to be forgotten. */
  readonly fromEnvironment?: true
}

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

/**
 * All requests of the client. Credentials go to the server they belong to and
 * nowhere else, and into no message. A reply that is no success becomes a `Failure` whose message the user can act on.
 */
export class Client {
  readonly #options: ClientOptions
  /** The server that a token of the environment is for. */
  trustedRoot: string | undefined
  #warnedOfVersion = false

  constructor(options: ClientOptions) {
    this.#options = options
    this.trustedRoot = options.session.root
  }

  /** A request of the JSON interface. */
  async api(method: string, url: string, options: ApiOptions = {}): Promise<Reply> {
    const { json, type, tolerate = [], checkVersion = true } = options
    const reply = await this.send({
      method,
      url,
      headers: { accept: 'application/json', 'content-type': 'application/json' },
      ...(json !== undefined && { body: () => JSON.stringify(json) }),
    })
    if (reply.status >= 400 && tolerate !== 'all' && !tolerate.includes(reply.status)) throw await this.refusal(reply)
    if (checkVersion) this.#checkVersion(reply)
    if (reply.status < 400 && type !== undefined) this.#checkType(reply, type)
    for (const warning of [objectOf(reply.json)['warnings']].flat()) if (typeof warning === 'string') this.#options.terminal.warn(warning)
    return reply
  }

  /** `result` of a reply of the given type. */
  async result(method: string, url: string, type: string, json?: unknown): Promise<JsonObject> {
    const reply = await this.api(method, url, { type, ...(json !== undefined && { json }) })
    return objectOf(reply.json?.['result'])
  }

  /** Any request, its answer whatever it is. Fails with `CONNECT` or `TLS` when there is none. */
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
    this.#options.terminal.debug(`${method} ${maskUrl(url)}`)
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
      this.#options.terminal.debug(`${String(response.statusCode)} ${response.statusMessage ?? ''}`)
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
    const { session, version } = this.#options
    const login = this.loginFor(url)
    const basic = session.basicAuthFor(url)
    return {
      'user-agent': `devpi-client/${version} (node${process.versions.node}; ${process.platform})`,
      ...(login !== undefined && { 'x-devpi-auth': base64(`${login.user}:${login.secret}`) }),
      ...(basic !== undefined && { authorization: `Basic ${base64(`${basic.username}:${basic.password}`)}` }),
    }
  }

  /** Who asks at this URL: by the environment where it is trusted, else as logged in. */
  loginFor(url: string): Login | undefined {
    const { session, env } = this.#options
    const trusted = this.trustedRoot
    if (trusted !== undefined && isBelow(url, trusted)) {
      const user = env['DEVPI_USER']
      const { DEVPI_TOKEN: token = '', DEVPI_PASSWORD: password = '' } = env
      if (token !== '') return { user: user ?? '__token__', secret: token, root: trusted, fromEnvironment: true }
      if (password !== '' && user !== undefined) return { user, secret: password, root: trusted, fromEnvironment: true }
    }
    for (const root of parentFolders(url)) {
      const user = session.userAt(root)
      const secret = session.tokenAt(root, user)
      if (user !== undefined && secret !== undefined) return { user, secret, root }
    }
    return undefined
  }

  /** The failure behind a reply that is a no. Where a login has expired it says so, and forgets it. */
  async refusal(reply: Reply): Promise<Failure> {
    const { method, status } = reply
    const url = maskUrl(reply.url)
    const expired = status === 401 || status === 403 ? await this.#expiredLogin(reply) : undefined
    if (expired !== undefined) return expired
    const message = messageOf(reply)
    const body = this.#options.terminal.debugging ? reply.text : message === undefined ? '' : `: ${message}`
    const phrase = reply.reason === message ? (STATUS_CODES[status] ?? '') : reply.reason // some servers explain themselves in both places
    const isAnonymous = (status === 401 || status === 403) && this.loginFor(reply.url) === undefined && !reply.url.endsWith('/+login')
    const hint = isAnonymous ? 'log in with `devpi login USER`' : undefined
    return new Failure(`HTTP_${status}`, `${method} ${url}\n${status} ${phrase}${body}`, { request: { method, url, status }, hint })
  }

  async #expiredLogin({ url }: Reply): Promise<Failure | undefined> {
    const { session, terminal } = this.#options
    const login = this.loginFor(url)
    if (login === undefined || url === `${login.root}+login`) return undefined
    const { state } = await this.loginState(login)
    if (state === 'ok') return undefined
    if (login.fromEnvironment) {
      return new Failure('LOGIN_EXPIRED', `the credentials of the environment are not accepted by ${login.root}: ${state}`, {
        hint: 'set DEVPI_TOKEN, or DEVPI_USER and DEVPI_PASSWORD, to others, or unset them and log in',
      })
    }
    terminal.error('removed expired authentication information')
    await session.logOff(login.root, login.user)
    return new Failure('LOGIN_EXPIRED', `login of '${login.user}' expired`, { hint: `log in again with \`devpi login ${login.user}\`` })
  }

  /** What the server says of a login: `ok`, or why not; and whose it is. */
  async loginState({ root }: Login): Promise<{ readonly state: string; readonly user: string | undefined }> {
    const reply = await this.api('GET', `${root}+api`, { tolerate: 'all', checkVersion: false })
    const [state, user] = listOf(objectOf(reply.json?.['result'])['authstatus'])
    return { state: textOf(state) ?? (reply.status === 200 ? 'ok' : `${reply.status} ${reply.reason}`), user: textOf(user) }
  }

  #checkVersion(reply: Reply): void {
    const { terminal, version } = this.#options
    const found = reply.headers['x-devpi-api-version']
    if (found === '2') return
    if (found !== undefined) {
      throw new Failure('API_VERSION', `devpi-client-${version} got a reply with API-VERSION ${found}, acceptable are: 2`, { hint: 'install a newer devpi client' })
    }
    if (reply.json === undefined && reply.status < 400) throw notDevpi(reply.url)
    if (!this.#warnedOfVersion) {
      this.#warnedOfVersion = true
      terminal.error(`WARN: devpi-client-${version} got an unversioned reply, assuming API-VERSION 2 (as implemented by devpi-server-2.0)`)
    }
  }

  #checkType(reply: Reply, type: string): void {
    const found = textOf(reply.json?.['type'])
    if (found === type) return
    if (found === undefined) throw notDevpi(reply.url)
    throw new Failure('API_VERSION', `${maskUrl(reply.url)}: got result type '${found}', expected '${type}'`)
  }

  /** Posts a form, a file in it streamed. `sent` hears of the bytes that went out. */
  async postForm(url: string, fields: readonly (readonly [string, string])[], file: FormFile | undefined, sent?: (bytes: number) => void): Promise<Reply> {
    const form = multipart(fields, file)
    return this.send({
      method: 'POST',
      url,
      headers: { accept: '*/*', 'content-type': form.contentType, 'content-length': String(form.contentLength) },
      body: () => Readable.from(counted(form.pieces(), sent), { objectMode: false }),
    })
  }

  /**
   * Downloads to a file and checks its digest; what does not have it is
   * removed again.
   */
  async download(url: string, path: string, sha256: string | undefined): Promise<void> {
    const { got } = await import('got')
    const hash = createHash('sha256')
    try {
      const stream = got.stream(url, { ...this.#requestOptions('GET', url), headers: this.#headers(url), throwHttpErrors: true })
      stream.on('data', (chunk: Buffer) => hash.update(chunk))
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

  /** What an installer needs in its URL to read the index. */
  credentialsFor(url: string): UrlCredentials | undefined {
    const login = this.loginFor(url)
    return login === undefined ? this.#options.session.basicAuthFor(url) : { username: login.user, password: login.secret }
  }
}

export function fileToSend(path: string, filename: string, size: number): FormFile {
  return { field: 'content', filename, size, bytes: () => createReadStream(path, { highWaterMark: 256 * 1024 }) }
}

/** What the reply says, wherever it says it. */
export function messageOf({ json, text, headers, reason }: Reply): string | undefined {
  const message = textOf(json?.['message'])
  if (message !== undefined) return message
  const isPage = headers['content-type']?.startsWith('text/html') === true
  return reason === '' && isPage ? /<title>([^<]*)<\/title>/i.exec(text)?.[1]?.trim() : undefined
}

/** The request that a redirect asks for. One that changes something keeps its method and body, on the same host; 303 asks for the answer alone. */
function followed(outgoing: Outgoing, status: number, location: string): Outgoing {
  const { method, url, headers } = outgoing
  const target = new URL(location, url)
  if (method === 'GET' || method === 'HEAD') return { ...outgoing, url: target.href }
  if (status === 303) return { method: 'GET', url: target.href, headers: { accept: headers['accept'] ?? '*/*' } }
  if (target.hostname === new URL(url).hostname) return { ...outgoing, url: target.href }
  throw new Failure('CONNECT', `${method} ${maskUrl(url)} is redirected to ${maskUrl(target.href)}`, { hint: `select that server with \`devpi use ${maskUrl(target.origin)}\`` })
}

function notDevpi(url: string): Failure {
  return new Failure('API_VERSION', `${maskUrl(url)} answers, but is no devpi server`, { hint: 'check the address: `devpi use URL` takes that of a server or of an index' })
}

async function* counted(pieces: AsyncIterable<Uint8Array>, sent: ((bytes: number) => void) | undefined): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const piece of pieces) {
    yield piece
    bytes += piece.length
    sent?.(bytes)
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
