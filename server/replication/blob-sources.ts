import { Agent as HttpAgent, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { Refusal } from '#log-format/api/refusal.js'
import { UpstreamBreaker } from '#server/upstream/upstream-breaker.js'

export interface BlobSourcesInput {
  /** Addresses of other nodes, the primary first. */
  readonly urls: () => readonly URL[]
  /** Headers that say which replica asks, and prove it; new ones for each request. They go to these nodes and nowhere else. */
  readonly credentials: () => Readonly<Record<string, string>>
  readonly userAgent: string
  /** A node that sends nothing for so long has failed. */
  readonly idleTimeoutMs: number
  /** ms since the epoch. */
  readonly now: () => number
}

export interface WantedPart {
  readonly sha256: string
  /** Bytes before this one are here. */
  readonly from: number
  /** Of the whole content, where it is known. */
  readonly size?: number
  /** Turns the order of the nodes: 0 begins with the first, 1 with the second, and so on. */
  readonly turn: number
  readonly signal: AbortSignal
}

/** A content that a node began to send. */
export interface SentBlob {
  readonly host: string
  /** Of the whole. */
  readonly size: number
  /** The first byte in the body; 0 when the node sends all of it anyway. */
  readonly from: number
  /** Must be read or destroyed. */
  readonly body: IncomingMessage
}

const MOST_SOCKETS = 64

/**
 * Other nodes that may have a content. They are named by the operator, so
 * they may well be in a private network; they are never left for where a
 * redirect leads, as that would have the credentials.
 */
export class BlobSources implements Disposable {
  readonly #input: BlobSourcesInput
  readonly #breaker: UpstreamBreaker
  readonly #agents = {
    http: new HttpAgent({ keepAlive: true, maxSockets: MOST_SOCKETS, maxFreeSockets: 8, timeout: 30_000 }),
    https: new HttpsAgent({ keepAlive: true, maxSockets: MOST_SOCKETS, maxFreeSockets: 8, timeout: 30_000 }),
  }

  constructor(input: BlobSourcesInput) {
    this.#input = input
    this.#breaker = new UpstreamBreaker(input.now)
  }

  /** Where a content is at the first of the nodes, for people. */
  urlOf(sha256: string): string {
    const [first] = this.#input.urls()
    return first === undefined ? '' : blobUrl(first, sha256).href
  }

  /**
   * Asks one node after the other. Refuses `not-available` when none of them
   * can be asked now, `not-found` when none has the content, and
   * `upstream-failed` when something else is wrong with one.
   */
  async open(wanted: WantedPart): Promise<SentBlob> {
    const refusals: Refusal[] = []
    for (const url of turned(this.#input.urls(), wanted.turn)) {
      try {
        return await this.#ask(blobUrl(url, wanted.sha256), wanted)
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        refusals.push(error)
      }
    }
    throw together(refusals)
  }

  [Symbol.dispose](): void {
    this.#agents.http.destroy()
    this.#agents.https.destroy()
  }

  async #ask(url: URL, wanted: WantedPart): Promise<SentBlob> {
    try {
      this.#breaker.check(url)
    } catch (error) {
      throw new Refusal('not-available', error instanceof Error ? error.message : `${url.host} did not answer lately`, { cause: error })
    }
    let body: IncomingMessage
    try {
      body = await this.#send(url, wanted)
    } catch (error) {
      wanted.signal.throwIfAborted()
      const code = codeOf(error)
      if (code === 'ETIMEDOUT') this.#breaker.failed(url) // the others fail fast by themselves
      throw new Refusal('not-available', `${url.host} could not be reached (${code})`, { cause: error })
    }
    this.#breaker.answered(url, 200, undefined)
    try {
      return { host: url.host, ...partOf(url, body.statusCode ?? 0, body.headers, wanted), body }
    } catch (error) {
      body.destroy()
      throw error
    }
  }

  #send(url: URL, { from, signal }: WantedPart): Promise<IncomingMessage> {
    const { credentials, userAgent, idleTimeoutMs } = this.#input
    const isSecure = url.protocol === 'https:'
    return new Promise((resolve, reject) => {
      const options = {
        agent: isSecure ? this.#agents.https : this.#agents.http,
        headers: {
          ...credentials(),
          accept: 'application/octet-stream',
          'accept-encoding': 'identity', // a proxy that packs the content would change it
          'user-agent': userAgent,
          ...(from > 0 && { range: `bytes=${from}-` }),
        },
        signal,
        timeout: idleTimeoutMs,
        maxHeaderSize: 32 * 1024,
      }
      const request: ClientRequest = isSecure ? httpsRequest(url, options) : httpRequest(url, options)
      request.on('timeout', () => request.destroy(Object.assign(new Error('it sends nothing'), { code: 'ETIMEDOUT' })))
      request.on('error', reject)
      request.on('response', (body) => {
        body.on('error', () => undefined) // whoever reads it hears of it
        resolve(body)
      })
      request.end()
    })
  }
}

/** Statuses that say more of the node, or of what is between, than of the content. */
const AWAY: readonly number[] = [429, 502, 503, 504]

/** Which part of the content a node sends. Refuses what is no part of it that can be used. */
function partOf({ host }: URL, status: number, headers: IncomingHttpHeaders, wanted: WantedPart): Pick<SentBlob, 'size' | 'from'> {
  if (status === 404 || status === 410) throw new Refusal('not-found', `${host} does not have it`)
  if (status === 401 || status === 403) {
    throw new Refusal('not-available', `${host} does not take this server for a replica of its own (${status}); compare the secrets and the clocks of both`)
  }
  if (AWAY.includes(status)) throw new Refusal('not-available', `${host} answered ${status}`)
  if (status !== 200 && status !== 206) throw new Refusal('upstream-failed', `${host} answered ${status}`)
  if ((headers['content-encoding'] ?? 'identity') !== 'identity') throw new Refusal('upstream-failed', `${host} packs what it sends, which nobody asked for`)
  const part = status === 200 ? wholeOf(headers) : rangeOf(headers)
  if (part === undefined || (part.from !== 0 && part.from !== wanted.from)) throw new Refusal('upstream-failed', `${host} does not say which bytes it sends`)
  if (wanted.size !== undefined && part.size !== wanted.size) {
    throw new Refusal('upstream-failed', `${host} has ${part.size} bytes where the log says ${wanted.size}`)
  }
  return part
}

function wholeOf(headers: IncomingHttpHeaders): Pick<SentBlob, 'size' | 'from'> | undefined {
  const length = headers['content-length']
  return length !== undefined && /^\d{1,15}$/.test(length) ? { size: Number(length), from: 0 } : undefined
}

function rangeOf(headers: IncomingHttpHeaders): Pick<SentBlob, 'size' | 'from'> | undefined {
  const [, from, end, size] = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(headers['content-range'] ?? '') ?? []
  if (from === undefined || Number(end) + 1 !== Number(size)) return undefined
  return { size: Number(size), from: Number(from) }
}

function blobUrl(node: URL, sha256: string): URL {
  const url = new URL(node)
  url.pathname = `${url.pathname.replace(/\/$/, '')}/+blobs/${sha256}`
  return url
}

function turned<T>(items: readonly T[], turn: number): T[] {
  const first = items.length === 0 ? 0 : turn % items.length
  return [...items.slice(first), ...items.slice(0, first)]
}

/** One refusal for all nodes: what is wrong with a content counts more than that a node is away. */
function together(refusals: readonly Refusal[]): Refusal {
  const message = refusals.length === 0 ? 'there is no other server to ask' : refusals.map((refusal) => refusal.message).join('; ')
  const kinds = new Set(refusals.map(({ kind }) => kind))
  const [kind = 'not-available'] = kinds
  return new Refusal(kinds.size > 1 ? 'upstream-failed' : kind, message, { cause: refusals[0] })
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'the connection failed'
}
