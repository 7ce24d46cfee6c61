import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { type AddressInfo, connect } from 'node:net'

/** A proxy that forwards and tunnels to this machine whatever the host is called, and remembers what it was asked. */
export class TestProxy implements AsyncDisposable {
  readonly asked: { readonly method: string; readonly target: string; readonly authorization: string | undefined }[] = []
  /** What it answers instead of a tunnel; undefined: it makes one. */
  refusal: number | undefined
  readonly #server = createServer((incoming, response) => {
    const target = incoming.url ?? ''
    this.#note('GET', target, incoming.headers['proxy-authorization'])
    const { port, pathname, search } = new URL(target)
    request({ host: '127.0.0.1', port, path: pathname + search, headers: incoming.headers }, (reply) => {
      response.writeHead(reply.statusCode ?? 0, reply.headers)
      reply.pipe(response)
    }).end()
  })

  static async start(): Promise<TestProxy> {
    const proxy = new TestProxy()
    proxy.#server.on('connect', (incoming, socket) => {
      const target = incoming.url ?? ''
      proxy.#note('CONNECT', target, incoming.headers['proxy-authorization'])
      if (proxy.refusal !== undefined) return void socket.end(`HTTP/1.1 ${proxy.refusal} No\r\nContent-Length: 0\r\n\r\n`)
      const upstream = connect(Number(target.split(':').at(-1)), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        socket.pipe(upstream).pipe(socket)
      })
      upstream.on('error', () => socket.destroy())
      socket.on('error', () => upstream.destroy())
      socket.on('close', () => upstream.destroy())
    })
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  /** `host:port`. */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  #note(method: string, target: string, authorization: string | undefined): void {
    this.asked.push({ method, target, authorization })
  }
}
