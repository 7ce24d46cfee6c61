import events from 'node:events'
import { connect, type Socket } from 'node:net'
import { getRequest } from './load.js'

/** A stream of server-sent events that says when each change arrived. */
export class EventWatch implements AsyncDisposable {
  readonly #socket: Socket
  #text = ''
  readonly #arrivals = new Map<number, number>()
  #wake: () => void = () => undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setEncoding('latin1').on('data', (text: string) => {
      const now = performance.now()
      this.#text += text
      for (const [, serial] of this.#text.matchAll(/"serial":(\d+),/g)) this.#arrivals.set(Number(serial), this.#arrivals.get(Number(serial)) ?? now)
      this.#text = this.#text.slice(-64) // a number may be cut in two
      this.#wake()
    })
    socket.on('close', () => { this.#wake() })
  }

  /** Once the stream has begun. */
  static async open(port: number, path: string, authorization: string): Promise<EventWatch> {
    const socket = connect(port, '127.0.0.1')
    const watch = new EventWatch(socket)
    socket.write(getRequest(path, { Accept: 'text/event-stream', Authorization: authorization }))
    await events.once(socket, 'data')
    return watch
  }

  /** When the change with this serial arrived, by `performance.now()`; waits for it. */
  async arrival(serial: number): Promise<number> {
    for (;;) {
      const at = this.#arrivals.get(serial)
      if (at !== undefined) return at
      if (this.#socket.destroyed) throw new Error('the stream of events ended')
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
    return Promise.resolve()
  }
}
