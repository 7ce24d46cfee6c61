import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeEntry } from '#log-format/codec.js'
import { nextSerial, toSerial } from '#log-format/serial.js'
import { ALL_PROJECTIONS } from '#server/projections/all.js'
import { verifyStore } from '#server/storage/verify.js'
import { wheel, type ReleaseFile } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

const JSON_PAGE = { Accept: 'application/vnd.pypi.simple.v1+json' }
const WHEEL = wheel('demo', '1.0')

let server: TestServer
let serverDir: string
let alice: TestUser
let bob: TestUser
beforeEach(async () => {
  serverDir = await mkdtemp(join(tmpdir(), 'devpi-rename-'))
  server = await startServer({ serverDir })
  alice = await server.signUp('alice', { dev: {} })
  bob = await server.signUp('bob', { team: { bases: ['alice/dev'] } })
  await alice.upload('dev', WHEEL)
})
afterEach(async () => {
  await server[Symbol.asyncDispose]()
  const findings: string[] = []
  await verifyStore({ folder: serverDir, projections: ALL_PROJECTIONS, onFinding: ({ message }) => findings.push(message) })
  expect(findings).toEqual([])
  await rm(serverDir, { recursive: true, force: true })
})

function pathOf(index: string, { bytes, filename }: ReleaseFile): string {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return `/${index}/+f/${sha256.slice(0, 3)}/${sha256.slice(3, 16)}/${filename}`
}

async function jsonOf(reply: Promise<Response>): Promise<Record<string, unknown>> {
  return (await (await reply).json()) as Record<string, unknown>
}

async function rename(to: unknown, { of = 'alice/dev', by = alice } = {}): Promise<{ status: number; message: unknown }> {
  const reply = await by.patch(`/${of}`, { rename: to })
  return { status: reply.status, message: (await jsonOf(Promise.resolve(reply)))['message'] }
}

/** Status and place of a redirect. */
async function leadsTo(path: string, init: RequestInit = {}): Promise<readonly [number, string | undefined]> {
  const reply = await server.fetch(path, init)
  return [reply.status, reply.headers.get('location')?.replace(server.url, '')]
}

test('an index is moved with everything on it in one entry, and those that inherit from it follow', async () => {
  await alice.put('/alice/own', { bases: ['alice/own', 'bob/team'] }).then(() => alice.patch('/alice/dev', ['bases=alice/dev']))
  const page = await jsonOf(alice.get('/alice/dev/+simple/demo/', JSON_PAGE))
  const version = await jsonOf(alice.get('/alice/dev/demo/1.0'))
  const head = server.head()
  expect(await rename('prod')).toEqual({ status: 200, message: 'index alice/dev is now alice/prod; indexes that have it as a base: 2' })

  expect(server.head()).toBe(head + 1)
  const serial = toSerial(server.head())
  for await (const [entry] of server.running.storage.entries.read(serial, nextSerial(serial))) {
    const { mutation } = decodeEntry(entry?.bytes ?? new Uint8Array())
    expect(mutation).toEqual({ kind: 'index-renamed', user: 'alice', index: 'dev', to: 'prod', followed: ['alice/prod', 'bob/team'] })
  }
  expect(await jsonOf(alice.get('/alice/prod/+simple/demo/', JSON_PAGE))).toEqual(page)
  const moved = JSON.stringify(await jsonOf(alice.get('/alice/prod/demo/1.0')))
  expect(moved).toBe(JSON.stringify(version).replaceAll('/alice/dev/+f/', '/alice/prod/+f/'))
  expect((await server.fetch(pathOf('alice/prod', WHEEL))).status).toBe(200)
  expect((await jsonOf(bob.get('/bob/team')))['result']).toMatchObject({ bases: ['alice/prod'] })
  expect((await jsonOf(alice.get('/alice/prod')))['result']).toMatchObject({ bases: ['alice/prod'], projects: ['demo'] })
  expect((await jsonOf(bob.get('/bob/team/+simple/demo/', JSON_PAGE)))['versions']).toEqual(['1.0'])
  expect((await alice.upload('prod', wheel('demo', '2.0'))).status).toBe(200)
})

test.each([
  ['', 'application/json'],
  ['/', 'application/json'],
  ['/?no_projects', 'application/json'],
  ['/+api', 'application/json'],
  ['/+simple/', 'text/html'],
  ['/+simple/demo/', 'text/html'],
  ['/+simple/demo/?a=b%20c', JSON_PAGE.Accept],
  ['/simple/demo/', JSON_PAGE.Accept],
  ['/demo', 'application/json'],
  ['/demo/1.0', 'application/json'],
  [pathOf('', WHEEL).slice(1), '*/*'],
  [`${pathOf('', WHEEL).slice(1)}.metadata`, '*/*'],
])('the old address %s (%s) leads to the new one', async (path, accept) => {
  await server.fetch(`/alice/dev${path}`, { headers: { Accept: accept } }) // warms whatever is cached
  await rename('prod')
  for (const method of ['GET', 'HEAD']) {
    expect(await leadsTo(`/alice/dev${path}`, { method, headers: { Accept: accept } })).toEqual([302, `/alice/prod${path}`])
    const followed = await fetch(`${server.url}/alice/dev${path}`, { method, headers: { Accept: accept } })
    expect([followed.status, followed.url]).toEqual([200, `${server.url}/alice/prod${path}`])
  }
})

test('changes are not led anywhere', async () => {
  await rename('prod')
  expect((await alice.upload('dev', wheel('demo', '2.0'))).status).toBe(404)
  expect((await alice.delete('/alice/dev/demo')).status).toBe(404)
  expect((await alice.patch('/alice/dev', { title: 'x' })).status).toBe(404)
})

test('a chain of names leads to the last one, and back again', async () => {
  await rename('one')
  await rename('two', { of: 'alice/one' })
  expect(await leadsTo('/alice/dev/+simple/')).toEqual([302, '/alice/two/+simple/'])
  expect(await leadsTo('/alice/one/+simple/')).toEqual([302, '/alice/two/+simple/'])
  await rename('dev', { of: 'alice/two' })
  expect((await server.fetch('/alice/dev/+simple/')).status).toBe(200)
  expect(await leadsTo('/alice/one/+simple/')).toEqual([302, '/alice/dev/+simple/'])
  await alice.delete('/alice/dev')
  for (const index of ['dev', 'one', 'two']) expect((await server.fetch(`/alice/${index}/+simple/`)).status).toBe(404)
})

test('whoever gets the old name, by being made, cloned or brought back, ends the redirect', async () => {
  const removed = Number((await alice.put('/alice/old', {}).then(() => alice.delete('/alice/old'))).headers.get('x-devpi-serial'))
  await rename('old').then(() => rename('prod', { of: 'alice/old' }))
  expect(await leadsTo('/alice/old/+simple/')).toEqual([302, '/alice/prod/+simple/'])
  expect((await alice.post('/+undo', { serial: removed })).status).toBe(200)
  await alice.put('/alice/dev', { clone: 'alice/prod' })
  for (const index of ['dev', 'old']) {
    expect((await server.fetch(`/alice/${index}/+simple/`)).status).toBe(200)
    await alice.delete(`/alice/${index}`)
    expect((await server.fetch(`/alice/${index}/+simple/`)).status).toBe(404)
  }
})

test('the past has the old name until then, and the new one from then on, under the rules of today', async () => {
  const before = server.head()
  await rename('prod')
  const after = server.head()
  expect((await server.fetch(`/alice/dev/+at/${before}/+simple/demo/`)).status).toBe(200)
  expect((await server.fetch(`/alice/dev/+at/${before}${pathOf('', WHEEL).slice(1)}`)).status).toBe(200)
  expect((await server.fetch(`/alice/prod/+at/${before}/+simple/demo/`)).status).toBe(404)
  expect(await leadsTo(`/alice/dev/+at/${after}/+simple/demo/`)).toEqual([302, `/alice/prod/+at/${after}/+simple/demo/`])
  expect((await server.fetch(`/alice/prod/+at/${after}/+simple/demo/`)).status).toBe(200)

  await alice.patch('/alice/prod', { acl_read: ['alice'] })
  for (const path of [`/+at/${before}/+simple/demo/`, `/+at/${before}${pathOf('', WHEEL).slice(1)}`, '/+simple/demo/']) {
    expect((await server.fetch(`/alice/dev${path}`)).status).toBe(401)
    expect((await bob.get(`/alice/dev${path}`)).status).toBe(403)
    expect([200, 302]).toContain((await alice.get(`/alice/dev${path}`, { Accept: 'text/html' })).status)
  }
})

test('a proxy in front is told the same', async () => {
  const ask = async (uri: string): Promise<number> => (await server.fetch('/+authcheck', { headers: { 'X-Original-URI': uri } })).status
  await rename('prod')
  expect(await ask('/alice/dev/+simple/')).toBe(200)
  await alice.patch('/alice/prod', { acl_read: ['alice'] })
  expect(await ask('/alice/dev/+simple/')).toBe(401)
  expect(await ask('/alice/never/+simple/')).toBe(403)
})

test('a mirror takes the credentials of its upstream along', async () => {
  const { vault } = server.running.storage
  await alice.put('/alice/mirror', { type: 'mirror', mirror_url: 'http://joe:hidden@upstream.example/simple/' })
  await rename('cache', { of: 'alice/mirror' })
  expect(vault.get('upstream\0alice\0cache')).toEqual({ username: 'joe', password: 'hidden' })
  expect(vault.get('upstream\0alice\0mirror')).toBeUndefined()
})

test('the redirects of a user go and come back with the user', async () => {
  await rename('prod')
  const serial = Number((await alice.delete('/alice')).headers.get('x-devpi-serial'))
  expect((await server.fetch('/alice/dev/+simple/')).status).toBe(404)
  await (await server.root()).post('/+undo', { serial })
  expect(await leadsTo('/alice/dev/+simple/')).toEqual([302, '/alice/prod/+simple/'])
})

test('who may not manage an index may not rename it', async () => {
  await alice.patch('/alice/dev', { acl_upload: ['bob'] })
  const head = server.head()
  expect((await rename('mine', { by: bob })).status).toBe(403)
  expect((await server.fetch('/alice/dev', { method: 'PATCH', body: '{"rename": "x"}' })).status).toBe(403)
  expect(server.head()).toBe(head)
})

test('a token for one name gives no other', async () => {
  const renameWith = async (indexes: string[]): Promise<number> => {
    const made = await alice.post('/alice/+tokens', { name: 'ci', actions: ['admin'], indexes })
    const { result } = (await made.json()) as { result: { token: string } }
    const headers = { Authorization: `Bearer ${result.token}` }
    return (await server.fetch('/alice/dev', { method: 'PATCH', headers, body: '{"rename": "prod"}' })).status
  }
  expect(await renameWith(['alice/dev'])).toBe(403)
  expect(await renameWith(['alice/prod'])).toBe(403)
  expect(await renameWith(['alice/dev', 'alice/prod'])).toBe(200)
})

test.each<[string, unknown, number, RegExp]>([
  ['its own name', 'dev', 400, /^index alice\/dev has that name already$/],
  ['a name in use', 'taken', 409, /^index 'alice\/taken' exists$/],
  ['a name with a slash', 'bob/dev', 400, /aren't allowed/],
  ['a name of routes', '+simple', 400, /aren't allowed/],
  ['an empty name', '', 400, /must not be empty/],
  ['a number', 5, 400, /^rename must be a text/],
  ['nothing', null, 400, /^rename must be a text/],
])('%s is refused', async (_, to, status, message) => {
  await alice.put('/alice/taken', {})
  const head = server.head()
  expect(await rename(to)).toEqual({ status, message: expect.stringMatching(message) })
  expect(server.head()).toBe(head)
})

test('a new name stands alone', async () => {
  expect((await alice.patch('/alice/dev', { rename: 'x', title: 'y' })).status).toBe(400)
  expect((await rename('x', { of: 'alice/nope' })).status).toBe(404)
})
