import { Agent as HttpAgent, type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { Refusal } from '#log-format/api/refusal.js'
import type { NodeTokens } from '#server/auth/node-token.js'

export interface PrimaryConnectionOptions {
  /** Address of the primary, without a slash at its end. */
  readonly url: string
  /** Uuid of this node. */
  readonly node: string
  readonly tokens: NodeTokens
  /** Until the head of a reply, ms. */
  readonly replyTimeoutMs: number
}

const KEEP_ALIVE_MS = 10_000
const MOST_MESSAGE_BYTES = 4096

/** One connection to the primary, which requests of this node use one after the other. */
export class PrimaryConnection implements Disposable {
  readonly #options: PrimaryConnectionOptions
  readonly #base: URL
  readonly #agent: HttpAgent

  constructor(options: PrimaryConnectionOptions) {
    this.#options = options
    this.#base = new URL(options.url)
    const agentOptions = { keepAlive: true, maxSockets: 1, keepAliveMsecs: KEEP_ALIVE_MS }
    this.#agent = this.#base.protocol === 'https:' ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions)
  }

  /** The reply to a `GET`, its body not yet read. Rejects when there is none in time, or the signal is aborted. */
  get(path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<IncomingMessage> {
    return this.#ask('GET', path, headers, signal)
  }

  /** The reply to a `HEAD`. */
  head(path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<IncomingMessage> {
    return this.#ask('HEAD', path, headers, signal)
  }

  #ask(method: 'GET' | 'HEAD', path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<IncomingMessage> {
    const { node, tokens, replyTimeoutMs, url } = this.#options
    const send = this.#base.protocol === 'https:' ? requestHttps : requestHttp
    return new Promise((resolve, reject) => {
      const request: ClientRequest = send(`${url}${path}`, {
        method,
        agent: this.#agent,
        signal,
        headers: { ...headers, Authorization: `Bearer ${tokens.issue(node)}`, 'X-DEVPI-REPLICA-UUID': node },
      })
      const timer = setTimeout(() => request.destroy(new Error('it does not answer')), replyTimeoutMs)
      request.on('error', (error) => {
        clearTimeout(timer)
        reject(error)
      })
      request.on('response', (reply) => {
        clearTimeout(timer)
        resolve(reply)
      })
      request.end()
    })
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}

/** Why a request was refused, in the words of whoever refused it, fit for a line of the log. Reads no more than a little of the body. */
export async function refusalIn(reply: IncomingMessage, pieces = reply as AsyncIterable<Buffer>): Promise<Refusal> {
  const text = await firstBytes(pieces)
  const said = messageIn(text)
  return new Refusal('upstream-failed', `it answers ${reply.statusCode ?? 0}${said === undefined ? '' : `: ${said}`}`)
}

/** The body of a small reply as JSON; undefined for what is none. */
export async function smallJson(reply: IncomingMessage): Promise<unknown> {
  const text = await firstBytes(reply as AsyncIterable<Buffer>)
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function firstBytes(body: AsyncIterable<Buffer>): Promise<string> {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of body) {
    pieces.push(piece)
    length += piece.length
    if (length >= MOST_MESSAGE_BYTES) break
  }
  return Buffer.concat(pieces).toString('utf8', 0, MOST_MESSAGE_BYTES)
}

function messageIn(text: string): string | undefined {
  try {
    const body: unknown = JSON.parse(text)
    if (typeof body !== 'object' || body === null || !('message' in body) || typeof body.message !== 'string') return undefined
    return body.message.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 400)
  } catch {
    return undefined
  }
}
