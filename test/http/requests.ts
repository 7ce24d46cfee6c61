import { createServer, IncomingMessage, request, type OutgoingHttpHeaders, type RequestListener } from 'node:http'
import { Socket, type AddressInfo } from 'node:net'

export interface FakeRequest {
  readonly headers?: Readonly<Record<string, string>>
  readonly remoteAddress?: string
  readonly encrypted?: boolean
}

/** A request as node:http hands it over, without a connection. Header names in lower case. */
export function fakeRequest(fake: FakeRequest = {}): IncomingMessage {
  const socket = new Socket()
  const properties = { remoteAddress: fake.remoteAddress, localAddress: '192.0.2.1', localPort: 3141, encrypted: fake.encrypted }
  for (const [name, value] of Object.entries(properties)) Object.defineProperty(socket, name, { value })
  const message = new IncomingMessage(socket)
  Object.assign(message.headers, fake.headers)
  return message
}

export interface Reply {
  readonly status: number
  readonly phrase: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export interface Asking {
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
}

/** What a client sees of one reply that `listener` gives on a real connection. */
export async function replyOf(listener: RequestListener, asking: Asking = {}): Promise<Reply> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  try {
    return await new Promise((resolve, reject) => {
      const asked = request({ port, host: '127.0.0.1', agent: false, ...asking }, (message) => {
        let body = ''
        message.setEncoding('utf8')
        message.on('data', (piece: string) => (body += piece))
        message.on('error', reject)
        message.on('end', () => {
          resolve({ status: message.statusCode ?? 0, phrase: message.statusMessage ?? '', headers: message.headers, body })
        })
      })
      asked.on('error', reject)
      asked.end()
    })
  } finally {
    server.close()
    server.closeAllConnections()
  }
}
