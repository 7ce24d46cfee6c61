import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** What happens to a connection on its way; bytes are counted from the server to the client. */
export interface Trouble {
  /** Both ends are cut after so many bytes. */
  readonly cutAfter?: number
  /** After so many bytes nothing passes any more, in either direction, and nobody is told. */
  readonly silentAfter?: number
  /** Bytes go on in pieces of at most this size. */
  readonly pieceBytes?: number
  /** Each piece waits so long. */
  readonly delayMs?: number
  /** Bytes to the server wait so long, and arrive even when their client was cut off in the meantime. */
  readonly lateMs?: number
  /** The first answer is lost, and all that the client has sent until then goes to the server again, on a connection of its own, as from a proxy that tries again. */
  readonly repeats?: boolean
  /** So long after the end of the connection all that the client sent goes to the server again, and nobody reads the answer. */
  readonly againMs?: number
  /** Of a connection that begins with a `GET`: after so many bytes the next piece comes twice. */
  readonly twiceAfter?: number
}

/** A way to a server on which connections suffer. */
export interface TcpProxy extends AsyncDisposable {
  readonly url: string
  /** Connections made so far. */
  readonly connections: number
  /** Bytes that went from the server to clients. */
  readonly passed: number
  /** Where connections go from now on. */
  target: string
  /** Of every connection from now on. */
  trouble: () => Trouble
  /** While it is set nothing passes on any connection, in either direction, and nobody is told; what would have passed is lost. */
  isSilent: boolean
  /** Cuts those that are open. */
  cutAll(): void
}

export async function startTcpProxy(target: string, trouble: () => Trouble = () => ({})): Promise<TcpProxy> {
  const open = new Set<Socket>()
  const proxy = { trouble, target, connections: 0, passed: 0, isSilent: false }
  const toServer = (onEnd: () => void): Socket => {
    const { hostname, port } = new URL(proxy.target)
    return watched(connect(Number(port), hostname), onEnd)
  }
  const watched = (socket: Socket, onEnd: () => void): Socket => {
    open.add(socket)
    return socket.on('error', onEnd).on('close', () => {
      open.delete(socket)
      onEnd()
    })
  }
  const server = createServer((client) => {
    proxy.connections += 1
    const suffered = proxy.trouble()
    const { lateMs = 0, repeats = false, againMs } = suffered
    const sent: Buffer[] = []
    if (repeats || againMs !== undefined) client.on('data', (data: Buffer) => sent.push(data))
    let upstream = toServer(() => { cut() })
    const cut = (): void => {
      client.destroy()
      if (lateMs === 0) upstream.destroy()
      else setTimeout(() => upstream.destroy(), 2 * lateMs).unref()
    }
    watched(client, cut)
    const way = { trouble: suffered, isSilent: () => proxy.isSilent, onPassed: (bytes: number) => { proxy.passed += bytes }, cut }
    if (againMs !== undefined) client.once('close', () => setTimeout(() => { sendAgain(toServer, sent) }, againMs).unref())
    if (!repeats) return void pass(client, upstream, way)
    const first = upstream
    const forward = (data: Buffer): void => void first.write(data)
    client.on('data', forward)
    first.once('data', () => {
      client.off('data', forward)
      first.removeAllListeners('close').destroy()
      open.delete(first)
      upstream = toServer(cut)
      upstream.write(Buffer.concat(sent))
      void pass(client, upstream, way)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cutAll = (): void => { for (const socket of open) socket.destroy() }
  return Object.assign(proxy, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cutAll,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close')
      server.close()
      cutAll()
      await closed
    },
  })
}

interface Way {
  readonly trouble: Trouble
  readonly isSilent: () => boolean
  readonly onPassed: (bytes: number) => void
  readonly cut: () => void
}

/** A request that nobody waits for. */
function sendAgain(toServer: (onEnd: () => void) => Socket, sent: readonly Buffer[]): void {
  const late = toServer(() => { late.destroy() })
  late.write(Buffer.concat(sent))
  late.once('data', () => { late.destroy() })
}

async function pass(client: Socket, upstream: Socket, { trouble, isSilent, onPassed, cut }: Way): Promise<void> {
  const { cutAfter = Infinity, silentAfter = Infinity, pieceBytes = Infinity, delayMs = 0, lateMs = 0 } = trouble
  let passed = 0
  let twiceAfter = Infinity
  client.once('data', (data: Buffer) => { if (data.subarray(0, 4).toString() === 'GET ') twiceAfter = trouble.twiceAfter ?? Infinity })
  client.on('data', (data) => {
    if (passed >= silentAfter || isSilent()) return
    if (lateMs === 0) upstream.write(data)
    else setTimeout(() => { if (upstream.writable) upstream.write(data) }, lateMs)
  })
  try {
    for await (const data of upstream as AsyncIterable<Buffer>) {
      for (let at = 0; at < data.length; ) {
        const size = Math.min(pieceBytes, data.length - at, Math.max(cutAfter - passed, 0), Math.max(silentAfter - passed, 0))
        if (passed >= silentAfter || isSilent()) await new Promise(() => undefined)
        if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs))
        if (size > 0 && !client.write(data.subarray(at, at + size))) await Promise.race([once(client, 'drain'), once(client, 'close')])
        if (passed >= twiceAfter) {
          twiceAfter = Infinity
          client.write(data.subarray(at, at + size))
        }
        passed += size
        onPassed(size)
        at += size
        if (passed >= cutAfter) return
      }
    }
  } catch {
    // cut from outside
  } finally {
    cut()
  }
}
