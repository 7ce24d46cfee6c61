import { type Server, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { PushSocket } from './push-socket.js'

/** Where the parser gives up on `PUSH`: it knows `PUT` and `PURGE`. */
const KNOWN = Buffer.from('PU')
const UNKNOWN = 'S'.charCodeAt(0)

interface ParseError extends NodeJS.ErrnoException {
  readonly rawPacket?: Buffer
  /** Where in the packet it was found. */
  readonly bytesParsed?: number
}

/**
 * Lets a server answer `PUSH`, the verb of `devpi push`, which Node's parser
 * does not know. When the parser fails over the verb, and over nothing
 * else, the connection goes on from that byte behind a stream that calls it
 * `POST`, with a parser of its own. So it is always a parser that says where
 * a request begins, nothing inside a body is ever taken for one, and no byte is looked at
 * on a connection on which all goes well.
 *
 * The bytes of earlier packets are gone by then. Of a verb that was cut after
 * `P` or `PU` only the rest is seen, on the first `PUSH` of a connection; a verb that does not
 * exist and is cut so that the same rest remains passes as `PUSH`.
 */
export function acceptPush(server: Server): void {
  const tails = new WeakMap<Duplex, Buffer>()
  const handedOver = new WeakSet<Duplex>()

  const takeOver = (socket: Duplex, rest: Buffer): void => {
    handedOver.add(socket)
    const held = hold(socket, rest)
    afterAnswers(socket, () => {
      const released = socket instanceof PushSocket ? socket.release() : { socket, unread: [] }
      if (!(released.socket instanceof Socket) || !released.socket.writable) return void released.socket.destroy()
      const pushed = new PushSocket(released.socket, [...held, ...released.unread])
      server.emit('connection', pushed)
      // After the parser's own listener: while that one fails, this is the packet before.
      pushed.on('data', (chunk: Buffer) => tails.set(pushed, lastOf(tails.get(pushed), chunk)))
    })
  }

  server.on('clientError', (error: ParseError, socket) => {
    const rest = restOfPush(error, tails.get(socket) ?? bytesBefore(socket, error))
    if (rest !== undefined && socket.writable) takeOver(socket, rest)
    // The parser that failed is still there, and complains that its request does not arrive.
    else if (!handedOver.has(socket)) refuse(socket, error.code)
  })
}

/** The rest of the packet from the `S` on, if the parser failed over the `S` in `PUSH`. `before`: as much as is known of what came before the packet. */
function restOfPush({ code, rawPacket, bytesParsed }: ParseError, before: Buffer | 'unknown'): Buffer | undefined {
  if (code !== 'HPE_INVALID_METHOD' || rawPacket === undefined || bytesParsed === undefined) return undefined
  if (rawPacket[bytesParsed] !== UNKNOWN) return undefined
  const read = rawPacket.subarray(0, bytesParsed)
  const isPush = before === 'unknown' && read.length < KNOWN.length
    ? KNOWN.subarray(KNOWN.length - read.length).equals(read)
    : lastOf(before === 'unknown' ? undefined : before, read).equals(KNOWN)
  return isPush ? rawPacket.subarray(bytesParsed) : undefined
}

function bytesBefore(socket: Duplex, { rawPacket }: ParseError): Buffer | 'unknown' {
  const first = socket instanceof Socket && socket.bytesRead === rawPacket?.length
  return first || socket instanceof PushSocket ? Buffer.alloc(0) : 'unknown'
}

/** The last two bytes. */
function lastOf(before: Buffer | undefined, chunk: Buffer): Buffer {
  const all = chunk.length >= KNOWN.length || before === undefined ? chunk : Buffer.concat([before, chunk])
  return Buffer.from(all.subarray(-KNOWN.length))
}

/** Takes the connection away from the parser that failed. What arrives until somebody else reads is put into the list. */
function hold(socket: Duplex, rest: Buffer): readonly Buffer[] {
  const held = [rest]
  socket.removeAllListeners('data').removeAllListeners('end')
  socket.on('data', (chunk: Buffer) => {
    held.push(chunk)
    socket.pause()
  })
  socket.pause()
  return held
}

/** Goes on when all requests read so far on a connection are answered, so that answers keep their order. */
function afterAnswers(socket: Duplex, goOn: () => void): void {
  const answer: unknown = Reflect.get(socket, '_httpMessage')
  if (answer instanceof ServerResponse && !socket.destroyed) answer.once('close', () => afterAnswers(socket, goOn))
  else goOn()
}

/** What Node would have answered to a request that is none. */
function refuse(socket: Duplex, code: string | undefined): void {
  const answered = (socket instanceof Socket || socket instanceof PushSocket) && socket.bytesWritten > 0
  if (!socket.writable || answered) return void socket.destroy()
  const status =
    code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request'
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
