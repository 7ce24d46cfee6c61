import { wheel } from '#test/support/archives.js'
import { caughtUp, startReplica, until } from '#test/support/replica.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { ranged, sha256Of, SIMPLE_JSON, status, TestUpstream, text } from '#test/support/upstream.js'

let upstream: TestUpstream
let primary: TestServer
let replica: TestServer
let second: TestServer
let alice: TestUser
let time = Date.parse('2026-01-02T03:04:05Z')
const now = (): number => time

beforeAll(async () => {
  upstream = await TestUpstream.start()
  primary = await startServer({ config: { privateUpstreams: ['127.0.0.1'] }, now })
  alice = await primary.signUp('alice', {
    mirror: { type: 'mirror', mirror_url: upstream.url, mirror_cache_expiry: 1800 },
    closed: { type: 'mirror', mirror_url: upstream.url, acl_read: ['alice'] },
    dev: { bases: ['alice/mirror'] },
  })
  replica = await startReplica(primary, { now })
  second = await startReplica(replica, { now })
  await caughtUp(second, primary)
})
afterAll(async () => {
  for (const server of [second, replica, primary]) await server[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

interface Page {
  readonly files: readonly { readonly filename: string; readonly url: string }[]
}

async function filesOn(server: TestServer, path: string, headers: Record<string, string> = {}): Promise<string[] | number> {
  const reply = await server.fetch(path, { headers: { accept: SIMPLE_JSON, ...headers } })
  return reply.status === 200 ? ((await reply.json()) as Page).files.map(({ filename }) => filename) : reply.status
}

async function fileUrl(server: TestServer, page: string): Promise<string> {
  const reply = await server.fetch(page, { headers: { accept: SIMPLE_JSON } })
  const [file] = ((await reply.json()) as Page).files
  return new URL(file?.url ?? '', server.url + page).pathname
}

test('pages and files of an upstream come through the primary, which alone asks it', async () => {
  const file = wheel('demo', '1.0')
  upstream.project('demo', [{ filename: file.filename, content: file.bytes }])
  const page = '/alice/dev/+simple/demo/'
  expect(await filesOn(second, page)).toEqual([file.filename])
  expect(await filesOn(replica, page)).toEqual([file.filename])
  expect(upstream.count('/simple/demo/')).toBe(1)

  const replies = await Promise.all(Array.from({ length: 10 }, async () => second.fetch(await fileUrl(second, page))))
  for (const reply of replies) expect(sha256Of(Buffer.from(await reply.arrayBuffer()))).toBe(sha256Of(file.bytes))
  expect(upstream.count(`/files/demo/${file.filename}`)).toBe(1)
  for (const server of [primary, replica, second]) expect(await server.running.blobs.stat(sha256Of(file.bytes))).toBeDefined()
})

test.each(['GET', 'HEAD'])('a %s that has a page fetched says the serial at which it is there, which replicas wait for', async (method) => {
  const project = `cold-${method.toLowerCase()}`
  upstream.project(project, [{ filename: `${project.replace('-', '_')}-1.0.zip`, content: Buffer.from(method) }])
  const before = primary.head()
  const reply = await primary.fetch(`/alice/dev/+simple/${project}/`, { method, headers: { accept: SIMPLE_JSON } })
  await reply.arrayBuffer()
  expect([reply.status, primary.head(), Number(reply.headers.get('x-devpi-serial'))]).toEqual([200, before + 1, before + 1])
})

test('metadata that the primary reads out of the tail of a wheel comes from there, and from the wheel once that is here', async () => {
  const file = wheel('tailed', '1.0', { padding: 200_000 })
  upstream.project('tailed', [{ filename: file.filename, content: file.bytes }])
  upstream.on(`/files/tailed/${file.filename}`, ranged(file.bytes))
  const page = '/alice/dev/+simple/tailed/'
  const path = await fileUrl(second, page)
  const reply = await second.fetch(`${path}.metadata`)
  expect([reply.status, reply.headers.get('cache-control'), (await reply.text()).split('\n')[1]]).toEqual([200, 'no-store', 'Name: tailed'])
  expect(upstream.asked.filter((asked) => asked.path.endsWith('.whl')).at(-1)?.headers.range).toBe('bytes=-65536')
  await (await second.fetch(path)).arrayBuffer()
  for (const server of [primary, replica, second]) {
    await until(async () => (await server.fetch(`${path}.metadata`)).headers.get('cache-control')?.includes('immutable') === true)
  }
})

test('a file that is on its way is asked of the primary once, however long after one another it is wanted', async () => {
  const file = wheel('slow', '1.0', { padding: 600_000 })
  upstream.project('slow', [{ filename: file.filename, content: file.bytes }])
  let goOn = (): void => undefined
  const told = new Promise<void>((resolve) => { goOn = resolve })
  upstream.on(`/files/slow/${file.filename}`, async (_request, response) => {
    response.writeHead(200, { 'content-length': file.bytes.length }).write(file.bytes.subarray(0, 300_000))
    await told
    response.end(file.bytes.subarray(300_000))
  })
  const path = await fileUrl(replica, '/alice/dev/+simple/slow/')
  const downloads = async (): Promise<number> => Number(/^devpi_mirror_downloads_total (\d+)$/m.exec(await (await replica.fetch('/+metrics')).text())?.[1])
  const before = await downloads()
  const replies = [await replica.fetch(path)]
  time += 2000 // the replica shows who it is with another token now
  replies.push(await replica.fetch(path))
  goOn()
  for (const reply of replies) expect(sha256Of(Buffer.from(await reply.arrayBuffer()))).toBe(sha256Of(file.bytes))
  expect((await downloads()) - before).toBe(1)
})

test('a digest that the upstream did not say is noted by the primary, and known to all', async () => {
  const file = wheel('plain', '1.0')
  upstream.project('plain', [{ filename: file.filename, content: file.bytes, fields: { hashes: {} } }])
  const page = '/alice/dev/+simple/plain/'
  const before = primary.head()
  const path = await fileUrl(replica, page)
  const reply = await replica.fetch(path)
  expect(sha256Of(Buffer.from(await reply.arrayBuffer()))).toBe(sha256Of(file.bytes))
  await caughtUp(replica, primary)
  expect(primary.head()).toBeGreaterThan(before)
  const shown = await (await replica.fetch(page, { headers: { accept: SIMPLE_JSON } })).text()
  expect(shown).toContain(sha256Of(file.bytes))
})

test('what no upstream has is absent here too, and what the primary cannot ask for is stale', async () => {
  expect(await filesOn(replica, '/alice/dev/+simple/nowhere/')).toBe(404)
  const file = wheel('old', '1.0')
  upstream.project('old', [{ filename: file.filename, content: file.bytes }])
  expect(await filesOn(replica, '/alice/dev/+simple/old/')).toEqual([file.filename])
  upstream.on('/simple/old/', status(500))
  time += 10_000_000
  const reply = await replica.fetch('/alice/dev/+simple/old/', { headers: { accept: SIMPLE_JSON } })
  expect([reply.status, reply.headers.get('cache-control')]).toEqual([200, expect.stringContaining('no-store')])
})

test('a mirror that not everybody may read is closed at the replica, and open to who may', async () => {
  const file = wheel('secret', '1.0')
  upstream.project('secret', [{ filename: file.filename, content: file.bytes }])
  const page = '/alice/closed/+simple/secret/'
  expect(await filesOn(replica, page)).toBe(401)
  await until(async () => (await replica.fetch('/alice/closed', { headers: { 'X-Devpi-Auth': alice.auth, accept: 'application/json' } })).status === 200)
  expect(await filesOn(replica, page, { 'X-Devpi-Auth': alice.auth })).toEqual([file.filename])
})

test('the list of names is that of the primary', async () => {
  upstream.on('/simple/', text(JSON.stringify({ meta: { 'api-version': '1.0' }, projects: [{ name: 'demo' }, { name: 'zebra' }] }), { contentType: SIMPLE_JSON }))
  const reply = await replica.fetch('/alice/mirror/+simple/', { headers: { accept: SIMPLE_JSON } })
  expect(((await reply.json()) as { projects: { name: string }[] }).projects.map(({ name }) => name)).toContain('zebra')
  expect(upstream.count('/simple/')).toBe(1)
})

test('only a replica may read in the name of an owner, and only with its own token', async () => {
  const auth = (user: string, password: string): Record<string, string> => ({ authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`, accept: 'application/json' })
  for (const password of ['', 'dn1.x.y', alice.token]) {
    expect((await primary.fetch('/alice/closed', { headers: auth('+replica', password) })).status).toBe(401)
  }
})

test('without the primary, what is here is served, and what is not fails in a sentence', async () => {
  const lonely = await startServer({ config: { privateUpstreams: ['127.0.0.1'] } })
  await lonely.signUp('alice', { mirror: { type: 'mirror', mirror_url: upstream.url } })
  await using left = await startReplica(lonely)
  await caughtUp(left, lonely)
  const page = '/alice/mirror/+simple/demo/'
  const path = await fileUrl(left, page)
  expect((await left.fetch(path)).status).toBe(200)
  await lonely[Symbol.asyncDispose]()
  expect(await filesOn(left, page)).toHaveLength(1)
  expect((await left.fetch(path)).status).toBe(200)
  const reply = await left.fetch('/alice/mirror/+simple/zebra/', { headers: { accept: 'application/json' } })
  expect(reply.status).toBe(502)
  expect(await reply.text()).toMatch(/could not be reached/)
})
