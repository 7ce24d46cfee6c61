import type { IncomingMessage } from 'node:http'

/** Cuts a reply off when nothing comes for long. */
export class Silence {
  readonly #reply: IncomingMessage
  readonly #ms: number
  #timer: NodeJS.Timeout | undefined

  constructor(ms: number, reply: IncomingMessage) {
    this.#ms = ms
    this.#reply = reply
    this.begin()
  }

  begin(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#reply.destroy(new Error('it sends nothing any more')), this.#ms)
  }

  end(): void {
    clearTimeout(this.#timer)
  }
}

/** The pieces of a reply, which fails when the next one does not come for so long; how long the reader takes does not count. */
export async function* unlessSilent(reply: IncomingMessage, ms: number): AsyncGenerator<Buffer> {
  const silence = new Silence(ms, reply)
  try {
    for await (const piece of reply as AsyncIterable<Buffer>) {
      silence.end()
      yield piece
      silence.begin()
    }
  } finally {
    silence.end()
  }
}
