import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** A way to a server on which connections break. */
export class CuttingProxy implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** Connections so far. */
  connections = 0
  /** Bytes that went to clients. */
  bytes = 0

  private constructor(target: string, bytesBeforeCut: () => number) {
    const { hostname, port } = new URL(target)
    this.#server = createServer((client) => {
      this.connections += 1
      const server = connect(Number(port), hostname)
      let left = bytesBeforeCut()
      const end = (): void => {
        client.destroy()
        server.destroy()
      }
      for (const socket of [client, server]) {
        this.#sockets.add(socket)
        socket.on('error', end).on('close', () => {
          this.#sockets.delete(socket)
          end()
        })
      }
      client.pipe(server)
      server.on('data', (chunk: Buffer) => {
        const passed = chunk.subarray(0, Math.max(0, left))
        left -= chunk.length
        this.bytes += passed.length
        client.write(passed, () => { if (left <= 0) end() })
      })
    })
  }

  /** Passes connections on to `target`; each ends after so many bytes of answers. */
  static async start(target: string, bytesBeforeCut: () => number): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(target, bytesBeforeCut)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
