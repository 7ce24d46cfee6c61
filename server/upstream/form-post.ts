import { randomBytes } from 'node:crypto'
import { type Duplex, Readable } from 'node:stream'
import { Refusal } from '#log-format/api/refusal.js'
import type { TargetHosts } from './target-hosts.js'

export interface FormFile {
  readonly field: string
  /** Without quotes, backslashes and control characters, as every stored file name is. */
  readonly filename: string
  readonly size: number
  /** The bytes in order, read as they are taken. */
  readonly bytes: () => AsyncIterable<Uint8Array>
}

export interface FormPost {
  readonly url: URL
  readonly username: string
  readonly password: string
  readonly userAgent: string
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly file?: FormFile
  readonly hosts: TargetHosts
  /** Ends the request; the promise then rejects with its reason. */
  readonly signal: AbortSignal
  /** How long the text of the reply may take behind its head, in ms. */
  readonly textTimeoutMs?: number
}

export interface PostReply {
  readonly status: number
  /** At most 4 KiB of it, and what came of it where it stopped in the middle. */
  readonly text: string
}

const MOST_REPLY_BYTES = 4096
/** In ms; `socket` is how long nothing at all may move. */
const TIMEOUTS = { lookup: 10_000, connect: 15_000, secureConnect: 15_000, socket: 60_000, response: 300_000 }
/** Of the text: a few bytes every minute would never count as silence. */
const TEXT_TIMEOUT_MS = 30_000

/**
 * Posts a form as upload tools do, the file streamed. Whatever the other side
 * answers is the answer, a redirect too: the password goes to no other
 * address. Nothing is sent twice. Rejects `upstream-failed` when there is no
 * answer, `forbidden` for a host that is not allowed; neither says the password.
 * What keeps the file itself from being read is thrown as it is.
 */
export async function postForm(post: FormPost): Promise<PostReply> {
  const { url, username, password, userAgent, hosts, signal, textTimeoutMs = TEXT_TIMEOUT_MS } = post
  hosts.check(url)
  const { got } = await import('got') // most servers never push elsewhere: it is 150 ms of a start
  const { contentType, contentLength, body } = multipart(post)
  const request = got.stream(url, {
    method: 'POST',
    body,
    username,
    password,
    headers: { 'content-type': contentType, 'content-length': String(contentLength), 'user-agent': userAgent, accept: '*/*' },
    agent: hosts.agents,
    timeout: TIMEOUTS,
    retry: { limit: 0 },
    followRedirect: false,
    throwHttpErrors: false,
    decompress: false,
    signal,
  })
  request.on('error', ignore) // what is left of it when nobody reads any more
  const reply = new ReplyStart(textTimeoutMs)
  request.once('response', ({ statusCode }: { readonly statusCode: number }) => reply.begin(statusCode))
  request.once('upgrade', (_: unknown, socket: Duplex) => {
    socket.destroy() // the protocol was changed, which nobody asked for: no answer comes any more
    request.destroy(new Refusal('upstream-failed', `${url.host} sent no answer`))
  })
  try {
    for await (const chunk of request) if (reply.add(chunk) === 'enough') break
    if (!reply.hasBegun) throw new Refusal('upstream-failed', `${url.host} sent no answer`)
    return reply.asRead()
  } catch (error) {
    signal.throwIfAborted()
    if (reply.hasBegun) return reply.asRead() // what was answered counts, however it ended
    throw failureOf(error, url)
  } finally {
    request.destroy()
    body.destroy()
  }
}

function ignore(): void {
  // Whoever waits for the reply hears of it.
}

/** The status of a reply and the first of its text. */
class ReplyStart {
  readonly #textTimeoutMs: number
  readonly #chunks: Buffer[] = []
  #size = 0
  #status: number | undefined
  #deadline = Infinity

  constructor(textTimeoutMs: number) {
    this.#textTimeoutMs = textTimeoutMs
  }

  get hasBegun(): boolean {
    return this.#status !== undefined
  }

  begin(status: number): void {
    this.#status = status
    this.#deadline = performance.now() + this.#textTimeoutMs
  }

  add(chunk: unknown): 'more' | 'enough' {
    if (Buffer.isBuffer(chunk)) {
      this.#chunks.push(chunk)
      this.#size += chunk.length
    }
    return this.#size >= MOST_REPLY_BYTES || performance.now() >= this.#deadline ? 'enough' : 'more'
  }

  asRead(): PostReply {
    return { status: this.#status ?? 0, text: Buffer.concat(this.#chunks).subarray(0, MOST_REPLY_BYTES).toString() }
  }
}

/** A connection that breaks under a write fails with the error of the system, without a word of got's. */
function failureOf(error: unknown, url: URL): unknown {
  if (typeof error !== 'object' || error === null || !('code' in error)) return error
  const { code } = error
  const cause = 'cause' in error ? error.cause : undefined
  if (code === 'ERR_UPLOAD') return cause ?? error
  if (cause instanceof Refusal) return cause
  return new Refusal('upstream-failed', `${url.host} could not be reached (${String(code)})`)
}

/** RFC 7578; its length is known before it is read. */
function multipart({ fields, file }: FormPost): { readonly contentType: string; readonly contentLength: number; readonly body: Readable } {
  const boundary = `form-${randomBytes(16).toString('hex')}`
  const head = fields.map(([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`)
  if (file !== undefined) {
    const { field, filename } = file
    head.push(`--${boundary}\r\nContent-Disposition: form-data; name="${field}"; filename="${filename}"\r\nContent-Type: application/octet-stream\r\n\r\n`)
  }
  const start = Buffer.from(head.join(''))
  const end = Buffer.from(`${file === undefined ? '' : '\r\n'}--${boundary}--\r\n`)
  async function* pieces(): AsyncGenerator<Uint8Array> {
    yield start
    if (file !== undefined) yield* file.bytes()
    yield end
  }
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    contentLength: start.length + (file?.size ?? 0) + end.length,
    body: Readable.from(pieces(), { objectMode: false }),
  }
}
