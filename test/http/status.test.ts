import { startServer, type TestServer } from '#test/support/server.js'

let server: TestServer
beforeAll(async () => {
  server = await startServer({ config: { outsideUrl: 'https://pypi.example/devpi' } })
})
afterAll(() => server[Symbol.asyncDispose]())

const FOR_ALL = [
  'uuid', 'versioninfo', 'role', 'serial', 'digest', 'epoch', 'last-commit-timestamp', 'event-serial', 'event-serial-timestamp', 'event-serial-in-sync-at',
  'metrics', 'polling_replicas',
].sort()
const FOR_ROOT = [...FOR_ALL, 'serverdir', 'server-code', 'host', 'port', 'outside-url', 'set-aside'].sort()

async function statusFor(fetchFrom: TestServer['fetch']): Promise<Record<string, unknown>> {
  const reply = await fetchFrom('/+status', { headers: { Accept: 'application/json' } })
  const { type, result } = (await reply.json()) as { type: string; result: Record<string, unknown> }
  expect([reply.status, type]).toEqual([200, 'status'])
  return result
}

test('everybody sees how the server does, and nothing of where it is', async () => {
  const alice = await server.signUp('alice')
  for (const fetchFrom of [server.fetch, alice.fetch.bind(alice)]) {
    const status = await statusFor(fetchFrom)
    expect(Object.keys(status).sort()).toEqual(FOR_ALL)
    expect(JSON.stringify(status)).not.toContain(server.serverDir)
  }
})

test('root sees where it is', async () => {
  const root = await server.root()
  const status = await statusFor(root.fetch.bind(root))
  expect(Object.keys(status).sort()).toEqual(FOR_ROOT)
  expect(status).toMatchObject({
    role: 'MASTER',
    serial: server.head(),
    'event-serial': server.head(),
    serverdir: server.serverDir,
    host: '127.0.0.1',
    port: Number(new URL(server.url).port),
    'outside-url': 'https://pypi.example/devpi',
    'server-code': process.cwd(),
    versioninfo: { 'devpi-server': '0.1.0' },
    polling_replicas: {},
  })
})

test('a token of root shows where it is only when it is for everything', async () => {
  const root = await server.root()
  const keysFor = async (actions: readonly string[]): Promise<string[]> => {
    const made = (await (await root.post('/root/+tokens', { name: 'monitor', actions, indexes: ['*'] })).json()) as { result: { token: string } }
    return Object.keys(await statusFor((path, init) => server.fetch(path, { headers: { ...init?.headers, Authorization: `Bearer ${made.result.token}` } }))).sort()
  }
  expect(await keysFor(['read'])).toEqual(FOR_ALL)
  expect(await keysFor(['admin'])).toEqual(FOR_ROOT)
})

test('times are seconds, metrics have three columns and names of their own', async () => {
  const status = await statusFor(server.fetch)
  expect(status['last-commit-timestamp']).toBeCloseTo(Date.now() / 1000, -2)
  const metrics = status['metrics'] as [string, string, number][]
  for (const [name, type, value] of metrics) {
    expect(name).toMatch(/^devpi_server_[a-z_]+$/)
    expect(['counter', 'gauge']).toContain(type)
    expect(Number.isFinite(value)).toBe(true)
  }
  expect(new Set(metrics.map(([name]) => name)).size).toBe(metrics.length)
})

test('there is no page of it', async () => {
  expect((await server.fetch('/+status', { headers: { Accept: 'text/html' } })).status).toBe(404)
})
