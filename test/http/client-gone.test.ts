import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { ClientGone } from '#server/http/client-gone.js'

const server = createServer()
beforeAll(() => once(server.listen(0, '127.0.0.1'), 'listening'))
afterAll(() => new Promise((resolve) => server.close(resolve)))

async function exchange(): Promise<{ readonly client: Socket; readonly res: ServerResponse }> {
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined)
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  const [, res] = (await once(server, 'request')) as [unknown, ServerResponse]
  return { client, res }
}

test('a client that goes away while somebody listens', async () => {
  const { client, res } = await exchange()
  using gone = new ClientGone(res)
  expect(gone.signal.aborted).toBe(false)
  client.destroy()
  await once(gone.signal, 'abort')
})

test('one that went away before', async () => {
  const { client, res } = await exchange()
  client.destroy()
  await once(res, 'close')
  using gone = new ClientGone(res)
  expect(gone.signal.aborted).toBe(true)
})

test('another reason, then or before, and nothing any more after the end', async () => {
  const { client, res } = await exchange()
  const other = new AbortController()
  const over = new ClientGone(res, other.signal)
  over[Symbol.dispose]()
  using gone = new ClientGone(res, other.signal)
  other.abort()
  expect([over.signal.aborted, gone.signal.aborted]).toEqual([false, true])
  using late = new ClientGone(res, other.signal)
  expect(late.signal.aborted).toBe(true)
  client.destroy()
  await once(res, 'close')
})
