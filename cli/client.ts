import { createReadStream } from 'node:fs'
import { STATUS_CODES } from 'node:http'
import { Readable } from 'node:stream'
import { Credentials, type Login } from './credentials.js'
import { Failure } from './failure.js'
import { type JsonObject, listOf, objectOf, textOf } from './json.js'
import { type FormFile, multipart } from './multipart.js'
import type { Netrc } from './netrc.js'
import { messageOf, type Reply, requireType, saysItsVersion } from './reply.js'
import { type Outgoing, type Received, Requests } from './requests.js'
import type { Session } from './session.js'
import type { Terminal } from './terminal.js'
import { maskUrl, type UrlCredentials } from './urls.js'

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
  readonly netrc: Netrc
  readonly terminal: Terminal
  readonly env: NodeJS.ProcessEnv
  readonly version: string
  readonly timeoutMs: number
  /** Ends whatever is on its way. */
  readonly signal: AbortSignal
}

/**
 * All that commands ask of servers. Credentials go into no message, and a
 * reply that is no success becomes a `Failure` whose message the user can act on.
 */
export class Client {
  readonly #options: ClientOptions
  readonly #credentials: Credentials
  readonly #requests: Requests
  #warnedOfVersion = false

  constructor(options: ClientOptions) {
    this.#options = options
    this.#credentials = new Credentials(options.session, options.env, options.netrc)
    this.#requests = new Requests({ ...options, credentials: this.#credentials })
  }

  /** The server that a token of the environment is for. */
  set trustedRoot(root: string) {
    this.#credentials.trustedRoot = root
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
    if (checkVersion && !saysItsVersion(reply, this.#options.version)) this.#warnOfVersion()
    if (reply.status < 400 && type !== undefined) requireType(reply, type)
    for (const warning of [objectOf(reply.json)['warnings']].flat()) if (typeof warning === 'string') this.#options.terminal.warn(warning)
    return reply
  }

  /** `result` of a reply of the given type. */
  async result(method: string, url: string, type: string, json?: unknown): Promise<JsonObject> {
    const reply = await this.api(method, url, { type, ...(json !== undefined && { json }) })
    return objectOf(reply.json?.['result'])
  }

  /** Any request, its answer whatever it is. Fails with `CONNECT` or `TLS` when there is none. */
  send(outgoing: Outgoing): Promise<Reply> {
    return this.#requests.send(outgoing)
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

  /** Downloads to a file and checks its digest; what does not have it is removed again. */
  download(url: string, path: string, sha256: string | undefined, received?: Received): Promise<void> {
    return this.#requests.download(url, path, sha256, received)
  }

  /** Server-sent events, until the connection ends. Rejects with a `Failure` when it could not be made or breaks. */
  events(url: string, signal: AbortSignal): AsyncGenerator<{ readonly id: string | undefined; readonly data: string }> {
    return this.#requests.events(url, signal)
  }

  /** Who asks at this URL: by the environment where it is trusted, else as logged in, else as `.netrc` has it. */
  loginFor(url: string): Login | undefined {
    return this.#credentials.loginFor(url)
  }

  /** What an installer needs in its URL to read the index. */
  credentialsFor(url: string): UrlCredentials | undefined {
    return this.#credentials.forInstaller(url)
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
    const hint = (status === 401 || status === 403) && !reply.url.endsWith('/+login') ? this.#loginHint(reply.url) : undefined
    return new Failure(`HTTP_${status}`, `${method} ${url}\n${status} ${phrase}${body}`, { request: { method, url, status }, hint })
  }

  #loginHint(url: string): string | undefined {
    const login = this.loginFor(url)
    if (login === undefined) return 'log in with `devpi login USER`'
    if (login.fromNetrc !== true) return undefined
    return `'${login.user}' of ${this.#options.netrc.path ?? ''} was sent; log in as somebody else with \`devpi login USER\`, or pass it over with --no-netrc`
  }

  async #expiredLogin({ url }: Reply): Promise<Failure | undefined> {
    const { session, terminal } = this.#options
    const login = this.loginFor(url)
    if (login === undefined || login.fromNetrc === true || url === `${login.root}+login`) return undefined
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

  #warnOfVersion(): void {
    if (this.#warnedOfVersion) return
    this.#warnedOfVersion = true
    this.#options.terminal.error(`WARN: devpi-client-${this.#options.version} got an unversioned reply, assuming API-VERSION 2 (as implemented by devpi-server-2.0)`)
  }
}

export function fileToSend(path: string, filename: string, size: number): FormFile {
  return { field: 'content', filename, size, bytes: () => createReadStream(path, { highWaterMark: 256 * 1024 }) }
}

async function* counted(pieces: AsyncIterable<Uint8Array>, sent: ((bytes: number) => void) | undefined): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const piece of pieces) {
    yield piece
    bytes += piece.length
    sent?.(bytes)
  }
}
