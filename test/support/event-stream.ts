import type { ChangeJson } from '#log-format/api/changes.js'

/** One server-sent event, or an id without data. */
export interface SentEvent {
  readonly id: string | undefined
  readonly data: string | undefined
  readonly comment: boolean
}

/** A stream of events as a client reads it, piece by piece. */
export class EventStream implements AsyncDisposable {
  readonly reply: Response
  readonly #aborter: AbortController
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #decoder = new TextDecoder()
  #text = ''

  private constructor(reply: Response, aborter: AbortController) {
    if (reply.body === null) throw new Error('the reply has no body')
    this.reply = reply
    this.#aborter = aborter
    this.#reader = reply.body.getReader()
  }

  static async open(fetchFrom: (path: string, init: RequestInit) => Promise<Response>, path: string, lastEventId?: string): Promise<EventStream> {
    const aborter = new AbortController()
    const headers = { Accept: 'text/event-stream', ...(lastEventId !== undefined && { 'Last-Event-ID': lastEventId }) }
    const reply = await fetchFrom(path, { headers, signal: aborter.signal })
    return new EventStream(reply, aborter)
  }

  /** The next block, whatever it holds; undefined at the end of the stream. */
  async block(): Promise<SentEvent | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\n\n')
      if (end >= 0) {
        const lines = this.#text.slice(0, end).split('\n')
        this.#text = this.#text.slice(end + 2)
        return { id: field(lines, 'id'), data: field(lines, 'data'), comment: lines.includes(':') }
      }
      const { done, value } = await this.#reader.read()
      if (done) return undefined
      this.#text += this.#decoder.decode(value, { stream: true })
    }
  }

  /** The next event that has data; undefined at the end of the stream. */
  async event(): Promise<{ readonly id: string | undefined; readonly data: ChangeJson } | undefined> {
    for (;;) {
      const block = await this.block()
      if (block === undefined) return undefined
      if (block.data !== undefined) return { id: block.id, data: JSON.parse(block.data) as ChangeJson }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#aborter.abort()
    await this.#reader.cancel().catch(() => undefined)
  }
}

function field(lines: readonly string[], name: string): string | undefined {
  return lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
}
