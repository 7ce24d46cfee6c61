import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Listening extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly seen: readonly IncomingMessage[]
}

/** A server that notes what it is asked. */
export async function listen(make: (listener: RequestListener) => Server, answer: RequestListener): Promise<Listening> {
  const seen: IncomingMessage[] = []
  const server = make((req, res) => {
    seen.push(req)
    answer(req, res)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export const plain = (listener: RequestListener): Server => createServer(listener)
