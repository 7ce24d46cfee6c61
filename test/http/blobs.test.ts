import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { wheel } from '#test/support/archives.js'
import { replicaHeaders } from '#test/support/replica-headers.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

const LARGE = Buffer.alloc(700_000, 'a large file, of which a part may be asked for; ')

let server: TestServer
let alice: TestUser
let headers: Readonly<Record<string, string>>
let small: { readonly sha256: string; readonly bytes: Buffer }
let large: string
beforeAll(async () => {
  server = await startServer()
  headers = await replicaHeaders(server)
  alice = await server.signUp('alice', { dev: { acl_read: ['alice'] } })
  const file = wheel('demo', '1.0')
  await alice.upload('dev', file)
  small = { sha256: sha256Of(file.bytes), bytes: Buffer.from(file.bytes) }
  using kept = await server.running.blobs.putBytes(LARGE)
  large = kept.sha256
})
afterAll(() => server[Symbol.asyncDispose]())

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function ask(sha256: string, init: RequestInit = {}): Promise<Response> {
  return server.fetch(`/+blobs/${sha256}`, { ...init, headers: { ...headers, 'Accept-Encoding': 'identity', ...init.headers } })
}

test('a replica gets a content by its digest, whoever may read the index', async () => {
  const reply = await ask(small.sha256)
  expect(reply.status).toBe(200)
  expect(Buffer.from(await reply.arrayBuffer())).toEqual(small.bytes)
  expect(Object.fromEntries(reply.headers)).toMatchObject({
    'content-length': String(small.bytes.length),
    'content-type': 'application/octet-stream',
    'cache-control': 'max-age=365000000, immutable, private',
    etag: `"${small.sha256}"`,
    'accept-ranges': 'bytes',
  })
  expect(reply.headers.has('content-encoding')).toBe(false)
})

test.each([
  ['bytes=0-9', 0, 10],
  ['bytes=699990-', 699_990, 700_000],
  ['bytes=300000-600000', 300_000, 600_001],
  ['bytes=-7', 699_993, 700_000],
])('%s is that part', async (range, start, end) => {
  const reply = await ask(large, { headers: { Range: range } })
  expect([reply.status, reply.headers.get('content-range')]).toEqual([206, `bytes ${start}-${end - 1}/700000`])
  expect(Buffer.from(await reply.arrayBuffer()).equals(LARGE.subarray(start, end))).toBe(true)
})

test('HEAD tells its size', async () => {
  const reply = await ask(large, { method: 'HEAD' })
  expect([reply.status, reply.headers.get('content-length'), await reply.text()]).toEqual([200, '700000', ''])
  expect((await ask('0'.repeat(64), { method: 'HEAD' })).status).toBe(404)
})

test('a part behind the end is refused', async () => {
  const reply = await ask(large, { headers: { Range: 'bytes=700000-' } })
  expect([reply.status, reply.headers.get('content-range')]).toEqual([416, 'bytes */700000'])
})

test.each([
  ['of nothing that is here', '0'.repeat(64)],
  ['in capitals', 'A'.repeat(64)],
  ['too short', 'ab'],
  ['too long', '0'.repeat(65)],
  ['a path', '..%2F..%2Fdb%2FCURRENT'],
  ['a path without end', '+tmp'],
])('a digest %s is 404', async (_, digest) => {
  const reply = await ask(digest, { headers: { Accept: 'application/json' } })
  expect([reply.status, await reply.json()]).toEqual([404, { message: 'this server has no such content' }])
})

test('a content that the disk lost is 404', async () => {
  const { sha256 } = await server.running.blobs.putBytes(Buffer.from('soon lost'))
  await rm(server.running.blobs.path(sha256))
  expect((await ask(sha256)).status).toBe(404)
})

test('nobody else gets it, nor hears whether it is there', async () => {
  const root = await server.root()
  const nothing = '0'.repeat(64)
  for (const digest of [small.sha256, nothing]) {
    const answers = [
      await server.fetch(`/+blobs/${digest}`),
      await server.fetch(`/+blobs/${digest}`, { method: 'HEAD' }),
      await alice.get(`/+blobs/${digest}`),
      await root.get(`/+blobs/${digest}`),
      await server.fetch(`/+blobs/${digest}`, { headers: { ...headers, 'X-DEVPI-REPLICA-UUID': 'cd'.repeat(16) } }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 403, 403, 403])
  }
})

test('it is only for reading', async () => {
  for (const method of ['PUT', 'POST', 'PATCH', 'DELETE']) expect((await ask(small.sha256, { method })).status).toBe(405)
})
