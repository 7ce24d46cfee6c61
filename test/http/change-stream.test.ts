import type { ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import express from 'express'
import { keys } from '#log-format/keys.js'
import { ChangeStreams } from '#server/http/change-streams.js'
import type { Deps } from '#server/http/deps.js'
import { changesRoutes } from '#server/http/routes/changes.js'
import { EventStream } from '#test/support/event-stream.js'
import { startServer, type TestServer } from '#test/support/server.js'
import { startUploadServer } from './upload-server.js'

type Fetch = (path: string, init?: RequestInit) => Promise<Response>

function open(from: { readonly fetch: Fetch }, query = '', lastEventId?: string): Promise<EventStream> {
  return EventStream.open((path, init) => from.fetch(path, init), `/+changes${query}`, lastEventId)
}

/** Id and kind of the next events. */
async function next(stream: EventStream, count: number): Promise<string[]> {
  const found: string[] = []
  while (found.length < count) {
    const event = await stream.event()
    if (event === undefined) break
    expect(event.id).toBe(String(event.data.serial))
    found.push(`${event.id} ${event.data.mutation.kind}`)
  }
  return found
}

async function openStreams(server: TestServer): Promise<number> {
  const text = await (await server.fetch('/+metrics')).text()
  return Number(/^devpi_change_streams (\d+)$/m.exec(text)?.[1])
}

test('an event arrives as it happens, and who comes back gets exactly the rest', async () => {
  await using server = await startServer()
  const alice = await server.signUp('alice', { dev: {}, inner: { acl_read: ['alice'] } }) // 1, 2, 3
  const anonymous = await open(server)
  expect(anonymous.reply.status).toBe(200)
  expect(Object.fromEntries(anonymous.reply.headers)).toMatchObject({
    'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no', 'x-devpi-serial': '3',
  })
  await alice.patch('/alice/dev', { title: 'one' }) // 4: without a place to start from, a stream starts now
  expect(await next(anonymous, 1)).toEqual(['4 index-modified'])
  await alice.patch('/alice/inner', { title: 'hidden' }) // 5
  await alice.patch('/alice/dev', { title: 'two' }) // 6
  expect(await next(anonymous, 1)).toEqual(['6 index-modified'])
  await anonymous[Symbol.asyncDispose]()

  await alice.patch('/alice/inner', { title: 'hidden, too' }) // 7
  await alice.patch('/alice/dev', { title: 'three' }) // 8
  await using again = await open(server, '?since=0', '6') // the id wins: browsers repeat the address
  await alice.patch('/alice/dev', { title: 'four' }) // 9
  expect(await next(again, 2)).toEqual(['8 index-modified', '9 index-modified'])

  await using hers = await open(alice, '?since=3&index=alice/inner')
  expect(await next(hers, 2)).toEqual(['5 index-modified', '7 index-modified'])
})

test('a stream cut off anywhere and resumed gives every change once', async () => {
  await using server = await startServer()
  const alice = await server.signUp('alice', { dev: {}, inner: { acl_read: ['alice'] } })
  let [id, found]: [string, string[]] = ['3', []]
  for (let round = 0; round < 6; round += 1) {
    await using stream = await open(server, '', id)
    for (let change = 0; change < 3; change += 1) {
      await alice.patch('/alice/inner', { title: `${round} ${change}` })
      await alice.patch('/alice/dev', { title: `${round} ${change}` })
    }
    for (let event = 0; event <= round % 3; event += 1) {
      const got = await stream.event()
      found.push(got!.id!)
      id = got!.id!
    }
  }
  await using last = await open(server, '', id)
  while (found.at(-1) !== String(server.head())) found = [...found, ...(await next(last, 1)).map((line) => line.split(' ')[0]!)]
  expect(found).toEqual(Array.from({ length: 18 }, (_, at) => String(5 + 2 * at)))
})

test('who loses the right to read sees no more, and who loses the password is cut off', async () => {
  await using server = await startServer()
  const root = await server.root()
  const alice = await server.signUp('alice', { dev: {} }) // 1, 2
  const bob = await server.signUp('bob') // 3
  const basic = { fetch: (path: string, init?: RequestInit) => server.fetch(path, { ...init, headers: { ...init?.headers, Authorization: `Basic ${Buffer.from('bob:bob secret').toString('base64')}` } }) }
  await using byToken = await open(bob)
  await using byPassword = await open(basic)
  await alice.patch('/alice/dev', { title: 'one' }) // 4
  for (const stream of [byToken, byPassword]) expect(await next(stream, 1)).toEqual(['4 index-modified'])
  await alice.patch('/alice/dev', ['acl_read=alice']) // 5
  await alice.patch('/alice/dev', { title: 'two' }) // 6
  await root.patch('/bob', { title: 'the builder' }) // 7
  for (const stream of [byToken, byPassword]) expect(await next(stream, 1)).toEqual(['7 user-modified'])
  await root.patch('/bob', { password: 'another secret' }) // 8
  for (const stream of [byToken, byPassword]) expect(await stream.event()).toBeUndefined()
})

test('an API token opens what it is for, until it is revoked', async () => {
  await using server = await startServer()
  const alice = await server.signUp('alice', { one: { acl_read: ['alice'] }, two: { acl_read: ['alice'] } }) // 1, 2, 3
  const made = await alice.post('/alice/+tokens', { name: 'feed', actions: ['read'], indexes: ['alice/one'] }) // 4
  const { result } = (await made.json()) as { result: { id: string; token: string } }
  const byToken: Fetch = (path, init) => server.fetch(path, { ...init, headers: { ...init?.headers, Authorization: `Bearer ${result.token}` } })
  await using stream = await open({ fetch: byToken }, '?since=-1')
  expect(await next(stream, 1)).toEqual(['2 index-created'])
  await alice.patch('/alice/two', { title: 'hidden' }) // 5
  await alice.patch('/alice/one', { title: 'shown' }) // 6
  expect(await next(stream, 1)).toEqual(['6 index-modified'])
  await alice.delete(`/alice/+tokens/${result.id}`) // 7
  expect(await stream.event()).toBeUndefined()
})

test('it ends when the client goes, and when the server stops', async () => {
  const server = await startServer()
  await using _ = server
  const alice = await server.signUp('alice', { dev: {} })
  const streams = await Promise.all([open(server), open(alice), open(alice, '?since=0')])
  expect(await openStreams(server)).toBe(3)
  await streams[0][Symbol.asyncDispose]()
  while ((await openStreams(server)) !== 2); // it takes a moment until the server hears of it
  const ended = Promise.all(streams.slice(1).map(async (stream) => { while ((await stream.block()) !== undefined); }))
  await server.stop()
  await ended
})

test('HEAD gets the headers, nonsense is refused before the stream starts', async () => {
  await using server = await startServer()
  const headers = { Accept: 'text/event-stream' }
  const head = await server.fetch('/+changes', { method: 'HEAD', headers })
  expect([head.status, head.headers.get('content-type'), await head.text()]).toEqual([200, 'text/event-stream', ''])
  for (const id of ['x', '1.5', '-2', '9'.repeat(20)]) {
    const reply = await server.fetch('/+changes', { headers: { ...headers, 'Last-Event-ID': id } })
    expect(reply.status).toBe(400)
  }
  expect(await openStreams(server)).toBe(0)
})

/** The route over the store of an upload server, with a hand on its replies. */
async function bare(options: ConstructorParameters<typeof ChangeStreams>[0] = {}): Promise<
  AsyncDisposable & { readonly deps: Deps; readonly port: number; readonly replies: readonly ServerResponse[]; readonly fetch: Fetch; readonly auth: string; readonly fill: (size: number) => Promise<unknown> }
> {
  const store = await startUploadServer()
  const deps: Deps = { ...store.deps, streams: new ChangeStreams(options) }
  const replies: ServerResponse[] = []
  const app = express()
  app.use((_req, res, next) => {
    replies.push(res)
    next()
  }, changesRoutes(deps))
  app.use(((error: { kind?: string }, _req, res, _next) => void res.status(error.kind === 'not-available' ? 503 : 500).end()) as express.ErrorRequestHandler)
  const listening = app.listen(0, '127.0.0.1')
  await new Promise((resolve) => listening.once('listening', resolve))
  const { port } = listening.address() as AddressInfo
  return {
    deps,
    port,
    replies,
    auth: store.auth('nina'),
    fetch: (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init),
    fill: (size) =>
      deps.storage.transact({ time: 1, actor: 'nina', via: 'token', request: 'test' }, async (tx) => {
        tx.set(keys.project({ user: 'nina', index: 'dev', project: `p${tx.serial}` }), { name: 'p', created: 1 })
        tx.record({ kind: 'release-pushed', user: 'nina', index: 'dev', project: `p${tx.serial}`, version: '1', source: 'nina/dev', files: ['x'.repeat(size)] })
      }),
    [Symbol.asyncDispose]: async () => {
      await deps.streams[Symbol.asyncDispose]()
      listening.close()
      listening.closeAllConnections()
      await store[Symbol.asyncDispose]()
    },
  }
}

test('silence is filled with heartbeats, which name the serial to go on from', async () => {
  await using server = await bare({ heartbeatMs: 5 })
  await using stream = await open(server, '?user=nobody')
  expect(await stream.block()).toEqual({ id: '0', data: undefined, comment: false })
  expect(await stream.block()).toEqual({ id: '0', data: undefined, comment: true })
  await server.fill(1)
  let block = await stream.block()
  while (block?.id === '0') block = await stream.block()
  expect(block).toEqual({ id: '1', data: undefined, comment: true })
})

test('a client that reads slowly gets all of it, and nothing piles up for it', async () => {
  await using server = await bare()
  for (let at = 0; at < 200; at += 1) await server.fill(100_000)
  const socket = connect(server.port, '127.0.0.1')
  socket.write('GET /+changes?since=0 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n')
  socket.pause()
  while (!(server.replies[0]?.writableNeedDrain ?? false)) await new Promise(setImmediate)
  const held = server.replies[0]!.writableLength
  for (let at = 0; at < 10; at += 1) await server.fill(100_000) // wakes whoever does not wait for the client
  expect(server.replies[0]!.writableLength).toBeLessThanOrEqual(held)
  expect(held).toBeLessThan(12 * 1024 * 1024)
  expect(await idsUntil(socket, '210')).toEqual(Array.from({ length: 210 }, (_, at) => String(at + 1)))
})

test('a server that stops does not wait for a client that does not read', async () => {
  await using server = await bare()
  for (let at = 0; at < 200; at += 1) await server.fill(100_000)
  const socket = connect(server.port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write('GET /+changes?since=0 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n')
  socket.pause()
  while (!(server.replies[0]?.writableNeedDrain ?? false)) await new Promise(setImmediate)
  await server.deps.streams[Symbol.asyncDispose]()
  expect(server.replies[0]!.destroyed).toBe(true)
  socket.destroy()
})

test('there are only so many, and some are left for who is logged in', async () => {
  await using server = await bare()
  const streams: EventStream[] = []
  for (let at = 0; at < 128; at += 1) streams.push(await open(server))
  const headers = { Accept: 'text/event-stream' }
  expect((await server.fetch('/+changes', { headers })).status).toBe(503)
  const nina = { fetch: (path: string, init?: RequestInit) => server.fetch(path, { ...init, headers: { ...init?.headers, Authorization: server.auth } }) }
  for (let at = 0; at < 128; at += 1) streams.push(await open(nina))
  expect((await nina.fetch('/+changes', { headers })).status).toBe(503)
  expect(server.deps.streams.open).toBe(256)
  await Promise.all(streams.map((stream) => stream[Symbol.asyncDispose]()))
  while (server.deps.streams.open > 0) await new Promise(setImmediate)
  const later = await open(server)
  expect(later.reply.status).toBe(200)
  await later[Symbol.asyncDispose]()
})

/** Reads on until the event with the id `last` came, and returns the ids of all. */
async function idsUntil(socket: Socket, last: string): Promise<string[]> {
  const ids: string[] = []
  let [line, id] = ['', '']
  await new Promise<void>((resolve) => {
    socket.on('data', (piece) => {
      const lines = (line + String(piece)).split('\n')
      line = (lines.pop() ?? '').slice(0, 200_000)
      for (const one of lines) {
        if (one.startsWith('id: ')) id = one.slice(4)
        else if (one.startsWith('data: ')) ids.push(id)
      }
      if (ids.at(-1) === last) resolve()
    })
    socket.resume()
  })
  socket.destroy()
  return ids
}
