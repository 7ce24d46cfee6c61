import { FrameReader } from '#log-format/framing.js'
import { startReplica } from '#test/support/replica.js'
import { replicaHeaders } from '#test/support/log-stream.js'
import { startServer, type TestServer } from '#test/support/server.js'

const NODE = 'ab'.repeat(16)
const PATHS = ['/+changelog/0-', '/+vault', '/+snapshot', `/+blobs/${'0'.repeat(64)}`, '/+epoch']

let primary: TestServer
let replica: TestServer
const identities: Record<string, Record<string, string>> = {}
beforeAll(async () => {
  primary = await startServer()
  replica = await startReplica(primary)
  const alice = await primary.signUp('alice')
  const root = await primary.root()
  const made = await root.post('/root/+tokens', { name: 'all', actions: ['admin'], indexes: ['*'] })
  const { result } = (await made.json()) as { result: { token: string } }
  Object.assign(identities, {
    nobody: {},
    'the name of a replica alone': { 'X-DEVPI-REPLICA-UUID': NODE },
    'alice with a login token': { 'X-Devpi-Auth': alice.auth },
    'alice with her password': basic('alice', 'alice secret'),
    'root with a login token': { 'X-Devpi-Auth': root.auth },
    'root with a bearer token': { Authorization: `Bearer ${root.token}` },
    'root with a password': basic('root', ''),
    'an API token of root': { Authorization: `Bearer ${result.token}` },
    'an API token as a password': basic('__token__', result.token),
  })
})
afterAll(async () => {
  await replica[Symbol.asyncDispose]()
  await primary[Symbol.asyncDispose]()
})

function basic(user: string, password: string): Record<string, string> {
  return { Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` }
}

test.each(PATHS)('%s is for replicas alone, at the primary and at a replica', async (path) => {
  for (const server of [primary, replica]) {
    const statuses: Record<string, number> = {}
    for (const [who, headers] of Object.entries(identities)) {
      for (const method of ['GET', 'HEAD']) statuses[`${method} ${who}`] = (await server.fetch(path, { method, headers })).status
    }
    const expected = Object.keys(statuses).map((name) => [name, /nobody|alone/.test(name) ? 401 : 403])
    expect(statuses).toEqual(Object.fromEntries(expected))
  }
})

test.each(PATHS)('%s lets a replica in', async (path) => {
  const reply = await primary.fetch(path, { method: 'HEAD', headers: replicaHeaders(primary, NODE) })
  expect([200, 404]).toContain(reply.status)
})

test('the whole feed has no password, no hash of one and no token', async () => {
  const secrets = Object.values(identities).flatMap(secretsIn)
  const vault = await (await primary.fetch('/+vault', { headers: replicaHeaders(primary, NODE) })).text()
  const hashes = vault.match(/\$argon2id\$[^"\\]+/g) ?? []
  expect(hashes.length).toBeGreaterThan(0)
  const length = primary.head() + 1
  const reply = await primary.fetch('/+changelog/0-', { headers: replicaHeaders(primary, NODE) })
  const feed = await bytesUntil(reply, length)
  expect(feed.includes('alice')).toBe(true)
  for (const secret of [...secrets, 'alice secret', ...hashes]) expect([secret, feed.includes(secret)]).toEqual([secret, false])
})

/** Tokens, out of the headers that carry them. */
function secretsIn(headers: Readonly<Record<string, string>>): string[] {
  return Object.values(headers)
    .map((value) => value.replace(/^(Bearer|Basic) /, ''))
    .filter((value) => value !== NODE)
    .flatMap((value) => [value, Buffer.from(value, 'base64').toString().replace(/^[^:]*:/, '')])
    .filter((value) => /^[\x21-\x7e]{20,}$/.test(value))
}

/** The raw bytes of so many frames. */
async function bytesUntil(reply: Response, frames: number): Promise<Buffer> {
  const reader = new FrameReader()
  const pieces: Uint8Array[] = []
  let seen = 0
  for await (const piece of reply.body as AsyncIterable<Uint8Array>) {
    pieces.push(piece)
    seen += [...reader.push(Buffer.from(piece))].length
    if (seen >= frames) break
  }
  return Buffer.concat(pieces)
}
