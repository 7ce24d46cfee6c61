import type { Server } from 'node:http'
import { Duplex } from 'node:stream'
import { Socket } from 'node:net'

const VERB = Buffer.from('PUSH ')
/** Of the same length, so that nothing behind it moves. */
const INSTEAD = Buffer.from('POST ')

/**
 * Lets a server answer `PUSH`, the verb of `devpi push`, which Node's parser
 * does not know: a connection on which it fails over the verb goes on behind
 * a stream that calls it `POST`. Other connections are not touched.
 */
export function acceptPush(server: Server): void {
  server.on('clientError', (error: NodeJS.ErrnoException & { rawPacket?: Buffer }, socket) => {
    const { rawPacket, code } = error
    const isPush = code === 'HPE_INVALID_METHOD' && rawPacket?.subarray(0, VERB.length).equals(VERB) === true
    if (isPush && socket.writable && socket instanceof Socket) {
      server.emit('connection', new PushSocket(socket, rawPacket))
    } else {
      refuse(socket, code)
    }
  })
}

/** What Node would have answered to a request that is none. */
function refuse(socket: Duplex, code: string | undefined): void {
  const answered = socket instanceof Socket && socket.bytesWritten > 0
  if (!socket.writable || answered) return void socket.destroy()
  const status =
    code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request'
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

/**
 * A connection whose requests begin with `POST` where the client wrote `PUSH`.
 * A client waits for an answer before it sends the next request, so a verb
 * stands at the beginning of what arrives first after an answer.
 */
class PushSocket extends Duplex {
  readonly #socket: Socket
  #betweenRequests = true

  constructor(socket: Socket, first: Buffer) {
    super({ allowHalfOpen: true })
    this.#socket = socket
    // Listening for data takes the connection away from the parser that failed.
    socket.removeAllListeners('data').removeAllListeners('end').removeAllListeners('drain')
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('end', () => this.push(null))
    socket.on('close', () => this.destroy())
    socket.on('error', (error) => this.destroy(error))
    this.#receive(first)
  }

  /** What the HTTP server asks a connection for. */
  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress
  }
  get localAddress(): string | undefined {
    return this.#socket.localAddress
  }
  get localPort(): number | undefined {
    return this.#socket.localPort
  }
  setTimeout(ms: number, callback?: () => void): this {
    this.#socket.setTimeout(ms, callback)
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

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#betweenRequests = true
    this.#socket.write(chunk, encoding, done)
  }

  override _final(done: () => void): void {
    this.#socket.end(done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy()
    done(error)
  }

  #receive(chunk: Buffer): void {
    const isVerb = this.#betweenRequests && chunk.subarray(0, VERB.length).equals(VERB)
    this.#betweenRequests = false
    if (!this.push(isVerb ? Buffer.concat([INSTEAD, chunk.subarray(VERB.length)]) : chunk)) this.#socket.pause()
  }
}
