import { setTimeout as wait } from 'node:timers/promises'
import type { NodeTokens } from '#server/auth/node-token.js'
import { parseEpochStart } from '#server/storage/epoch-start.js'
import type { Storage } from '#server/storage/storage.js'
import { type EpochClaim, epochClaim, heedEpoch, plainUrl, PRIMARY_URL_HEADER } from './epoch-claim.js'
import { PrimaryConnection, smallJson } from './primary-request.js'

export interface PeerWatchOptions {
  readonly storage: Storage
  readonly tokens: NodeTokens
  /** Addresses of other nodes of this history, as they are known at the moment. */
  readonly peers: () => readonly string[]
  /** Where clients find this node. */
  readonly outsideUrl: string | undefined
  readonly onFenced: () => void
  readonly pauseMs?: number
}

const PAUSE_MS = 2000
const MOST_HEARD_OF = 16
const REPLY_TIMEOUT_MS = 2000

/**
 * A primary asks the nodes it knows for their epoch, now and again, and tells
 * them its own: so a promoted one makes itself known to the one before it, and one
 * that comes back hears of it. One that gave way says to whom, who is asked then, too: what is
 * told of somebody who may be gone for ever fences nobody. A replica asks nobody, its primary tells it.
 */
export class PeerWatch implements AsyncDisposable {
  readonly #options: PeerWatchOptions
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined
  /** Addresses that peers gave. */
  readonly #heardOf = new Set<string>()

  constructor(options: PeerWatchOptions) {
    this.#options = options
  }

  /** Asks all of them, each once, and whom they name, and then keeps asking. Resolves after the first round, in 4 seconds at most. */
  async start(): Promise<void> {
    await this.#askAll()
    if (this.#heardOf.size > 0) await this.#askAll()
    this.#running ??= this.#run()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    const { pauseMs = PAUSE_MS } = this.#options
    while (!signal.aborted) {
      await wait(pauseMs * (0.75 + Math.random() / 2), undefined, { signal, ref: false }).catch(() => undefined)
      if (!signal.aborted) await this.#askAll()
    }
  }

  async #askAll(): Promise<void> {
    const { storage, peers, outsideUrl } = this.#options
    if (storage.isReplica) return
    const urls = new Set([...peers(), ...this.#heardOf])
    if (outsideUrl !== undefined) urls.delete(outsideUrl)
    this.#heardOf.clear() // those who still say it are asked, too
    await Promise.all([...urls].map((url) => this.#ask(url).catch(() => undefined))) // one that is not there says nothing
  }

  async #ask(url: string): Promise<void> {
    const { storage, tokens, outsideUrl, onFenced } = this.#options
    using connection = new PrimaryConnection({ url, node: storage.nodeId, tokens, replyTimeoutMs: REPLY_TIMEOUT_MS })
    const limit = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(REPLY_TIMEOUT_MS)])
    const isPrimary = storage.fence === undefined
    const headers = { ...epochClaim(storage), ...(isPrimary && outsideUrl !== undefined && { [PRIMARY_URL_HEADER]: outsideUrl }) }
    const reply = await connection.get('/+epoch', { Accept: 'application/json', ...headers }, limit)
    const said = parseEpochReply(reply.statusCode === 200 ? await smallJson(reply) : undefined, tokens)
    if (said?.gaveWayTo !== undefined && this.#heardOf.size < MOST_HEARD_OF) this.#heardOf.add(said.gaveWayTo)
    if (said !== undefined && (await heedEpoch(storage, said.node, said.claim))) onFenced()
  }
}

/** What `/+epoch` answers. `proof` is a token of the node: whoever only sits at its address has none. */
export interface EpochReply {
  readonly uuid: string
  readonly epoch: number
  /** How it began, see `epochStartText`; null in the first epoch, absent from releases that do not say it. */
  readonly start: string | null
  readonly history: string
  readonly url: string | null
  /** Where the primary is to which this node has given way, if it said so; absent from releases that do not say it. */
  readonly gaveWayTo: string | null
  readonly proof: string
}

interface Said {
  readonly node: string
  readonly claim: EpochClaim
  readonly gaveWayTo: string | undefined
}

function parseEpochReply(found: unknown, tokens: NodeTokens): Said | undefined {
  if (typeof found !== 'object' || found === null) return undefined
  const { uuid, epoch, start: began, history, url, gaveWayTo, proof }: { readonly [K in keyof EpochReply]?: unknown } = found
  if (typeof uuid !== 'string' || typeof history !== 'string' || typeof proof !== 'string') return undefined
  if (typeof epoch !== 'number' || !Number.isSafeInteger(epoch) || epoch < 0) return undefined
  const subject = tokens.read(proof)
  if (typeof subject !== 'object' || subject.node !== uuid) return undefined
  const shown = plainUrl(url)
  const start = parseEpochStart(began)
  return { node: uuid, claim: { epoch, ...(start !== undefined && { start }), history, ...(shown !== undefined && { url: shown }) }, gaveWayTo: plainUrl(gaveWayTo) }
}
