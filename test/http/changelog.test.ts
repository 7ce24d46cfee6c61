import { digestHex, EMPTY_CHAIN, entryDigest } from '#log-format/chain.js'
import { readEntry } from '#log-format/codec.js'
import type { StatusJson } from '#log-format/api/status.js'
import { keys } from '#log-format/keys.js'
import { toSerial } from '#log-format/serial.js'
import { openLogStream, replicaHeaders } from '#test/support/log-stream.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

const NODE = 'ab'.repeat(16)

let server: TestServer
let alice: TestUser
beforeAll(async () => {
  server = await startServer({ feed: { heartbeatMs: 50, streamMs: 400 } })
  alice = await server.signUp('alice', { dev: {}, prod: {} })
})
afterAll(() => server[Symbol.asyncDispose]())

const asReplica = (more: Record<string, string> = {}): Record<string, string> => ({ ...replicaHeaders(server, NODE), ...more })

async function storedBytes(): Promise<Buffer[]> {
  const found: Buffer[] = []
  for await (const entries of server.running.storage.entries.read(toSerial(0))) found.push(...entries.map(({ bytes }) => Buffer.from(bytes)))
  return found
}

test('a replica gets the stored bytes from the serial that it names, each with its digest, then what comes', async () => {
  const stored = await storedBytes()
  for (const from of [0, 2, stored.length]) {
    using stream = await openLogStream(server.url, from, asReplica())
    expect(stream.reply.statusCode).toBe(200)
    expect(stream.reply.headers).toMatchObject({
      'content-type': 'application/vnd.devpi.changelog',
      'x-devpi-serial': String(server.head()),
      'x-devpi-uuid': server.running.storage.nodeId,
      'x-devpi-primary-uuid': server.running.storage.nodeId,
    })
    const frames = await stream.take(stored.length - from)
    let digest = from === 0 ? EMPTY_CHAIN.digest : readEntry(stored[from] ?? stored.at(-1)!).parent
    if (from === stored.length) digest = server.running.storage.head.digest
    for (const [at, frame] of frames.entries()) {
      expect(Buffer.from(frame.bytes)).toEqual(stored[from + at])
      digest = entryDigest(digest, frame.bytes)
      expect(digestHex(frame.digest)).toBe(digestHex(digest))
    }
    await alice.put(`/alice/later${from}`, {})
    const [live] = await stream.take(1)
    stored.push(Buffer.from(live!.bytes))
    expect(readEntry(live!.bytes)).toMatchObject({ serial: server.head(), mutation: { kind: 'index-created', index: `later${from}` } })
    expect(digestHex(live!.digest)).toBe(digestHex(server.running.storage.head.digest))
  }
})

test('a silent stream has heartbeats that say how far the log is, and ends between two frames after its time', async () => {
  using stream = await openLogStream(server.url, server.head() + 1, asReplica())
  const start = performance.now()
  expect(await stream.next()).toBeUndefined()
  expect(performance.now() - start).toBeGreaterThan(200)
  expect(stream.heartbeat).toMatchObject({ head: server.head() })
  expect(Math.abs(Date.now() - stream.heartbeat!.time)).toBeLessThan(60_000)
})

test('HEAD has the headers alone', async () => {
  const reply = await server.fetch('/+changelog/0-', { method: 'HEAD', headers: asReplica() })
  expect([reply.status, reply.headers.get('content-type'), await reply.text()]).toEqual([200, 'application/vnd.devpi.changelog', ''])
})

async function refusal(path: string, headers: Record<string, string>): Promise<{ status: number; message: string; parent: string | null }> {
  const reply = await server.fetch(path, { headers: { Accept: 'application/json', ...headers } })
  const { message } = (await reply.json()) as { message: string }
  return { status: reply.status, message, parent: reply.headers.get('x-devpi-parent') }
}

test('a serial that is still to come is refused, but for the next one', async () => {
  const next = server.head() + 1
  const { status, message } = await refusal(`/+changelog/${next + 1}-`, asReplica())
  expect([status, message]).toEqual([404, `this log goes on with serial ${next}, it has nothing before ${next + 1}`])
})

test.each(['/+changelog/', '/+changelog/0', '/+changelog/-', '/+changelog/-1-', '/+changelog/00-', '/+changelog/1e3-', '/+changelog/9999999999999999-', '/+changelog/x-', '/+changelog/0-/'])('%s is nowhere', async (path) => {
  expect((await server.fetch(path, { headers: asReplica() })).status).toBe(404)
})

test('another history is named, with its serial and both digests', async () => {
  const stored = await storedBytes()
  const digests = stored.slice(1).map((bytes) => digestHex(readEntry(bytes).parent))
  digests.push(digestHex(server.running.storage.head.digest))
  for (const from of [1, 3, stored.length]) {
    const here = digests[from - 1]!
    using stream = await openLogStream(server.url, from, asReplica({ 'X-DEVPI-PARENT': here }))
    expect(stream.reply.statusCode).toBe(200)
    const there = 'f'.repeat(64)
    const { status, message, parent } = await refusal(`/+changelog/${from}-`, asReplica({ 'X-DEVPI-PARENT': there }))
    expect([status, parent]).toEqual([409, here])
    expect(message).toBe(`the histories differ: the digest at serial ${from - 1} is ${here} here, not ${there}`)
  }
  using first = await openLogStream(server.url, 0, asReplica({ 'X-DEVPI-PARENT': '0'.repeat(64) }))
  expect(first.reply.statusCode).toBe(200)
})

test.each([
  ['X-DEVPI-PARENT', 'abc', 'X-DEVPI-PARENT is not a digest'],
  ['X-DEVPI-PARENT', 'F'.repeat(64), 'X-DEVPI-PARENT is not a digest'],
  ['X-DEVPI-EXPECTED-PRIMARY-ID', 'ab'.repeat(16), 'the replica expects abab'],
  ['X-DEVPI-EXPECTED-MASTER-ID', 'ab'.repeat(16), 'the replica expects abab'],
  ['X-DEVPI-EXPECTED-MASTER-ID', '<script>', 'the replica expects something else'],
])('%s: %s is refused', async (header, value, message) => {
  const answer = await refusal('/+changelog/0-', asReplica({ [header]: value }))
  expect(answer).toMatchObject({ status: 400, message: expect.stringContaining(message) as string })
})

test.each(['X-DEVPI-EXPECTED-PRIMARY-ID', 'X-DEVPI-EXPECTED-MASTER-ID'])('%s may be right or empty', async (header) => {
  for (const value of ['', server.running.storage.nodeId]) {
    using stream = await openLogStream(server.url, 0, asReplica({ [header]: value }))
    expect(stream.reply.statusCode).toBe(200)
  }
})

test('no user gets it, whoever it is and however it asks', async () => {
  const root = await server.root()
  const made = (await (await root.post('/root/+tokens', { name: 'all', actions: ['admin'], indexes: ['*'] })).json()) as { result: { token: string } }
  const basic = (user: string, password: string): Record<string, string> => ({ Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` })
  const identities: Record<string, Record<string, string>> = {
    nobody: {},
    'alice with a token': { 'X-Devpi-Auth': alice.auth },
    'alice with a bearer token': { Authorization: `Bearer ${alice.token}` },
    'alice with her password': basic('alice', 'alice secret'),
    'root with a token': { 'X-Devpi-Auth': root.auth },
    'root with a password': basic('root', ''),
    'an API token of root': { Authorization: `Bearer ${made.result.token}` },
    'an API token as a password': basic('__token__', made.result.token),
    'a replica with another name': { ...replicaHeaders(server, NODE), 'X-DEVPI-REPLICA-UUID': 'cd'.repeat(16) },
  }
  const answers: Record<string, number> = {}
  for (const [who, headers] of Object.entries(identities)) {
    for (const path of ['/+changelog/0-', '/+changelog/99999-', '/+changelog/x']) {
      const { status, message } = await refusal(path, headers)
      expect(message).not.toMatch(/\d/)
      answers[`${who} ${path}`] = status
    }
  }
  expect(answers).toEqual(Object.fromEntries(Object.keys(answers).map((name) => [name, name.startsWith('nobody') ? 401 : 403])))
})

test('root sees who follows, and how far', async () => {
  const root = await server.root()
  const replicas = async (user: Pick<TestUser, 'get'>): Promise<unknown> => ((await (await user.get('/+status')).json()) as { result: StatusJson }).result.polling_replicas
  const other = 'ef'.repeat(16)
  {
    using stream = await openLogStream(server.url, 1, { ...replicaHeaders(server, other), 'X-DEVPI-REPLICA-OUTSIDE-URL': 'https://replica.example/' })
    await stream.take(server.head())
    expect(await replicas(root)).toMatchObject({
      [other]: { 'remote-ip': '127.0.0.1', serial: server.head(), 'in-request': true, 'is-streaming': true, 'outside-url': 'https://replica.example/' },
    })
  }
  expect(await replicas(alice)).toEqual({})
  for (const stop = performance.now() + 5000; performance.now() < stop; ) {
    const found = (await replicas(root)) as Record<string, { 'in-request': boolean }>
    if (found[other]?.['in-request'] === false) return
  }
  throw new Error('the replica counts as following although it is gone')
})

test('a replica that takes nothing is sent no more than buffers hold, and cut off', async () => {
  await using slow = await startServer({ idleTimeoutMs: 300 })
  const description = 'word '.repeat(400_000)
  for (const version of ['1', '2', '3', '4', '5', '6', '7', '8', '9']) {
    const at = { user: 'bob', index: 'dev', project: 'large', version }
    await slow.running.storage.transact({ time: 0, actor: 'bob', via: 'token', request: 'test' }, (tx) => {
      tx.set(keys.metadata(at), { description })
      tx.record({ kind: 'version-registered', ...at })
      return Promise.resolve()
    })
  }
  using stream = await openLogStream(slow.url, 0, replicaHeaders(slow, NODE))
  stream.reply.pause()
  const { feed } = slow.running
  for (const stop = performance.now() + 8000; feed.open > 0 && performance.now() < stop; ) await new Promise((resolve) => setTimeout(resolve, 20))
  expect(feed.open).toBe(0)
  await expect(stream.take(slow.head() + 1)).rejects.toThrow()
})

test('a server that stops ends its streams', async () => {
  await using short = await startServer()
  using stream = await openLogStream(short.url, 0, replicaHeaders(short, NODE))
  await stream.take(1)
  const stopped = short.stop()
  expect(await stream.next()).toBeUndefined()
  await stopped
})
