import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { Refusal } from '#log-format/api/refusal.js'
import type { Upstream, UpstreamClient, UpstreamReply } from './client.js'
import { contentRangeOf, strongEtagOf } from './content-range.js'

/** Where a file can be had. */
export interface FilePlace {
  readonly upstream: Upstream
  readonly url: string
}

export interface ContinuedFileInput {
  readonly client: UpstreamClient
  readonly place: FilePlace
  /** The beginning of the file, and as much as comes. */
  readonly reply: UpstreamReply
  readonly size: number | undefined
  /** Whether a digest of the whole is known, so that it does not matter who gives which part of it. */
  readonly hasDigest: boolean
  /** Further places that are said to have the very same file. */
  readonly elsewhere: (() => AsyncIterable<FilePlace>) | undefined
  readonly answerMs: number | undefined
  readonly signal: AbortSignal
  /** Told whenever it goes on. */
  readonly onContinued: () => void
}

/** How often a file goes on that broke off. */
const MOST_CONTINUATIONS = 3

/**
 * A file as it comes from an upstream. Where that breaks off, it goes on from
 * the byte reached: at the same place, if that gave anything since it was
 * asked last, else at the next one. What nobody continues fails as it broke off.
 */
export class ContinuedFile implements Disposable {
  readonly stream: Readable
  readonly #input: ContinuedFileInput
  readonly #stop = new AbortController()
  readonly #signal: AbortSignal
  readonly #others: AsyncIterator<FilePlace> | undefined
  #place: FilePlace
  #body: IncomingMessage
  #position = 0
  #continuations = 0

  constructor(input: ContinuedFileInput) {
    this.#input = input
    this.#place = input.place
    this.#body = input.reply.body
    this.#others = input.elsewhere?.()[Symbol.asyncIterator]()
    this.#signal = AbortSignal.any([input.signal, this.#stop.signal])
    this.stream = Readable.from(this.#bytes())
    this.stream.on('error', () => undefined) // whoever reads it hears of it
  }

  async *#bytes(): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const before = this.#position
      const failure = yield* this.#rest()
      if (failure === undefined) return
      const body = await this.#goOn(this.#position > before)
      if (body === undefined) throw failure.error
      this.#body = body
    }
  }

  /** Whoever gives it gives no more. */
  [Symbol.dispose](): void {
    this.stream.destroy()
    this.#stop.abort()
    this.#body.destroy()
  }

  /** What comes without asking again; returns why that is not all. */
  async *#rest(): AsyncGenerator<Buffer, { readonly error: unknown } | undefined, undefined> {
    const { reply, size } = this.#input
    const chunks: AsyncIterator<Buffer> = this.#body[Symbol.asyncIterator]()
    for (;;) {
      let next: IteratorResult<Buffer>
      try {
        next = await chunks.next()
      } catch (error) {
        return { error } // of the upstream alone: what comes of a chunk that was taken is no concern of it
      }
      if (next.done === true) break
      this.#position += next.value.length
      yield next.value
    }
    return size === undefined || this.#position >= size ? undefined : { error: new Error(`${reply.url.host} sent ${this.#position} bytes of ${size}`) }
  }

  async #goOn(hasComeOn: boolean): Promise<IncomingMessage | undefined> {
    if (this.#signal.aborted) return undefined
    let place = hasComeOn ? this.#place : await this.#nextPlace()
    while (place !== undefined && this.#continuations < MOST_CONTINUATIONS && !this.#signal.aborted) {
      const body = await this.#ask(place)
      if (body !== undefined) {
        this.#place = place
        this.#continuations += 1
        this.#input.onContinued()
        return body
      }
      place = await this.#nextPlace()
    }
    return undefined
  }

  async #nextPlace(): Promise<FilePlace | undefined> {
    const next = await this.#others?.next()
    return next === undefined || next.done === true ? undefined : next.value
  }

  /** Undefined where the rest cannot be had there. */
  async #ask({ upstream, url }: FilePlace): Promise<IncomingMessage | undefined> {
    const { client, reply: first, size, hasDigest, answerMs } = this.#input
    const validator = hasDigest ? undefined : strongEtagOf(first)
    if (!hasDigest && validator === undefined) return undefined
    const headers = { accept: '*/*', 'accept-encoding': 'identity', range: `bytes=${this.#position}-`, ...(validator !== undefined && { 'if-range': validator }) }
    try {
      const reply = await client.open({ upstream, url: new URL(url), headers, signal: this.#signal, ...(answerMs !== undefined && { answerMs }) })
      const range = contentRangeOf(reply)
      const isSame = hasDigest || strongEtagOf(reply) === validator // some servers know `Range`, and not `If-Range`
      if (isSame && range?.start === this.#position && (size === undefined || range.size === size)) return reply.body
      reply.body.destroy()
      return undefined
    } catch (error) {
      if (error instanceof Refusal) return undefined
      throw error
    }
  }
}
