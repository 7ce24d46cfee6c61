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
