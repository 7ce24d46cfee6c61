import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

/** What the client writes behind `PU`, and what the parser gets to see behind `PO`; of the same length, so that nothing behind it moves. */
const WRITTEN = Buffer.from('SH ')
const SEEN = Buffer.from('ST ')
const BEGUN = Buffer.from('PO')
/** In place of a byte that makes it another verb: no verb has one, so the parser refuses it. */
const NO_VERB = 0

/**
 * The rest of a connection, from the `S` of a `PUSH` on, as a parser is to see
 * it: with one `POST` in place of that `PUSH`, and not a byte looked at behind it.
 * It has what the HTTP server asks a connection for.
 */
export class PushSocket extends Duplex {
  readonly #socket: Socket
  /** How many bytes of the verb were passed on. */
  #verbBytes = 0
  #released = false
  #bytesWritten = 0

  /** `received`: what has arrived of it, beginning with the `S`. Takes over all reading from the connection. */
  constructor(socket: Socket, received: readonly Buffer[]) {
    super({ allowHalfOpen: true })
    this.#socket = socket
    socket.setTimeout(0)
    socket.removeAllListeners('data').removeAllListeners('end').removeAllListeners('timeout').removeAllListeners('drain')
    this.push(BEGUN)
    for (const chunk of received) this.#onData(chunk)
    socket.on('data', this.#onData).on('end', this.#onEnd).on('timeout', this.#onTimeout)
    socket.on('close', this.#onClose).on('error', this.#onError)
    if (socket.readableEnded) this.#onEnd()
  }

  get bytesRead(): number {
    return this.#socket.bytesRead
  }
  get bytesWritten(): number {
    return this.#bytesWritten
  }
  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress
  }
  get localAddress(): string | undefined {
    return this.#socket.localAddress
  }
  get localPort(): number | undefined {
    return this.#socket.localPort
  }
  get timeout(): number | undefined {
    return this.#socket.timeout
  }
  setTimeout(ms: number, callback?: () => void): this {
    if (callback !== undefined) this.once('timeout', callback)
    this.#socket.setTimeout(ms)
    return this
  }
  setNoDelay(noDelay?: boolean): this {
    this.#socket.setNoDelay(noDelay)
    return this
  }
  setKeepAlive(enable?: boolean, delayMs?: number): this {
    this.#socket.setKeepAlive(enable, delayMs)
    return this
  }
  ref(): this {
    this.#socket.ref()
    return this
  }
  unref(): this {
    this.#socket.unref()
    return this
  }
  /** Ends it once everything is written, whether or not the other side does. */
  destroySoon(): void {
    if (this.writableFinished) return void this.destroy()
    this.once('finish', () => this.destroy())
    this.end()
  }

  /** Gives the connection back, with what had arrived on it and was not read. This stream is over then, the connection is not. */
  release(): { readonly socket: Socket; readonly unread: readonly Buffer[] } {
    const socket = this.#socket
    socket.removeListener('data', this.#onData).removeListener('end', this.#onEnd).removeListener('timeout', this.#onTimeout)
    socket.removeListener('close', this.#onClose).removeListener('error', this.#onError)
    this.removeAllListeners('data') // as they would get what is read here
    const unread: Buffer[] = []
    for (let chunk = this.read() as Buffer | null; chunk !== null; chunk = this.read() as Buffer | null) unread.push(chunk)
    this.#released = true
    this.destroy()
    return { socket, unread }
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#bytesWritten += chunk.length
    this.#socket.write(chunk, encoding, done)
  }

  override _final(done: () => void): void {
    this.#socket.end(done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#released) this.#socket.destroy()
    done(error)
  }

  readonly #onData = (chunk: Buffer): void => {
    const more = this.push(this.#verbBytes === WRITTEN.length ? chunk : this.#withVerb(chunk))
    if (!more) this.#socket.pause()
  }
  readonly #onEnd = (): void => void this.push(null)
  readonly #onTimeout = (): void => void this.emit('timeout')
  readonly #onClose = (): void => void this.destroy()
  readonly #onError = (error: Error): void => void this.destroy(error)

  #withVerb(chunk: Buffer): Buffer {
    const seen = Buffer.from(chunk)
    for (let at = 0; at < chunk.length && this.#verbBytes < WRITTEN.length; at += 1, this.#verbBytes += 1) {
      seen[at] = chunk[at] === WRITTEN[this.#verbBytes] ? (SEEN[this.#verbBytes] ?? NO_VERB) : NO_VERB
    }
    return seen
  }
}
