import { createHash } from 'node:crypto'
import { sdist, wheel, type ReleaseFile } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

let server: TestServer
let alice: TestUser
let root: TestUser
beforeEach(async () => {
  server = await startServer()
  alice = await server.signUp('alice', { dev: {}, prod: { volatile: false } })
  root = await server.root()
  for (const index of ['dev', 'prod']) {
    await alice.upload(index, wheel('demo', '1.0'))
    await alice.upload(index, sdist('demo', '1.0'))
    await alice.upload(index, wheel('demo', '2.0'))
  }
})
afterEach(() => server[Symbol.asyncDispose]())

const WHEEL = wheel('demo', '1.0')

function pathOf(index: string, { bytes, filename }: ReleaseFile): string {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return `/alice/${index}/+f/${sha256.slice(0, 3)}/${sha256.slice(3, 16)}/${filename}`
}

/** Everything that can be seen of alice's indexes, but for serials. */
async function snapshot(): Promise<unknown> {
  const seen: unknown[] = []
  for (const index of ['dev', 'prod']) {
    for (const path of ['', '/demo', '/demo/1.0', '/demo/2.0', '/+simple/', '/+simple/demo/']) {
      for (const accept of ['application/json', 'application/vnd.pypi.simple.v1+json', 'text/html']) {
        const reply = await root.fetch(`/alice/${index}${path}`, { headers: { Accept: accept } })
        seen.push([index, path, accept, reply.status, await reply.text()])
      }
    }
    for (const file of [wheel('demo', '1.0'), sdist('demo', '1.0'), wheel('demo', '2.0')]) {
      const reply = await root.fetch(pathOf(index, file))
      seen.push([reply.status, reply.headers.get('last-modified'), createHash('sha256').update(Buffer.from(await reply.arrayBuffer())).digest('hex')])
    }
  }
  seen.push(await (await root.get('/alice')).json())
  return seen
}

/** Removes, and gives the serial of that. */
async function remove(path: string, user = alice): Promise<number> {
  const reply = await user.delete(path)
  expect([path, reply.ok]).toEqual([path, true])
  return Number(reply.headers.get('x-devpi-serial'))
}

async function undo(serial: unknown, user: TestUser | 'nobody' = alice): Promise<{ status: number; message: string }> {
  const head = server.head()
  const body = JSON.stringify({ serial })
  const reply = user === 'nobody' ? await server.fetch('/+undo', { method: 'POST', body }) : await user.post('/+undo', { serial })
  const { message } = (await reply.json()) as { message: string }
  expect(server.head()).toBe(reply.ok ? head + 1 : head) // a refusal appends nothing
  return { status: reply.status, message }
}

test.each<[string, string, string]>([
  ['a file', pathOf('dev', WHEEL), 'alice/dev/demo/1.0/demo-1.0-py3-none-any.whl'],
  ['the last file of a version', pathOf('dev', wheel('demo', '2.0')), 'alice/dev/demo/2.0/demo-2.0-py3-none-any.whl'],
  ['a version', '/alice/dev/demo/1.0', 'alice/dev/demo/1.0'],
  ['a project', '/alice/dev/demo', 'alice/dev/demo'],
  ['a project of an index that is not volatile', '/alice/prod/demo?force', 'alice/prod/demo'],
  ['an index', '/alice/dev', 'alice/dev'],
])('%s comes back as it was', async (_, path, name) => {
  const before = await snapshot()
  const serial = await remove(path)
  expect(await snapshot()).not.toEqual(before)

  expect(await undo(serial)).toEqual({ status: 200, message: `the removal of '${name}' at serial ${serial} is undone` })
  expect(await snapshot()).toEqual(before)
  expect(await undo(serial)).toMatchObject({ status: 409, message: expect.stringContaining('there is something else now at') })
})

test('test reports, documentation and yanks come back with their version', async () => {
  await alice.post(pathOf('dev', WHEEL), { testenvs: {} })
  await alice.patch(pathOf('dev', WHEEL), { yanked: 'one file' })
  await alice.patch('/alice/dev/demo/1.0', { yanked: 'broken' })
  const before = await snapshot()
  await undo(await remove(pathOf('dev', WHEEL)))
  expect(await snapshot()).toEqual(before)
  await undo(await remove('/alice/dev/demo/1.0'))
  expect(await snapshot()).toEqual(before)
})

test('a user comes back with all indexes and without password and tokens', async () => {
  await alice.patch('/alice/prod', { volatile: true })
  const made = await alice.post('/alice/+tokens', { name: 'ci', actions: ['delete'], indexes: ['alice/dev'] })
  const { result } = (await made.json()) as { result: { token: string } }
  const before = await snapshot()
  const serial = await remove('/alice', alice)
  expect(await undo(serial, alice)).toMatchObject({ status: 403 }) // the token was of a user who is gone

  const { status, message } = await undo(serial, root)
  expect([status, message]).toEqual([200, expect.stringContaining("the tokens of 'alice' are gone for good: root has to set a new password")])
  expect(await snapshot()).toEqual(before)
  expect(await (await root.get('/alice/+tokens')).json()).toEqual({ type: 'list:tokenconfig', result: {} })
  const withToken = await server.fetch('/alice/+tokens', { headers: { Authorization: `Bearer ${result.token}`, Accept: 'application/json' } })
  expect(withToken.status).toBe(401)
  const logIn = async (password: string): Promise<number> =>
    (await server.fetch('/+login', { method: 'POST', body: JSON.stringify({ user: 'alice', password }) })).status
  expect(await logIn('alice secret')).toBe(401)
  expect((await alice.patch('/alice', { title: 'me' })).status).toBe(403)
  await root.patch('/alice', { password: 'new' })
  expect(await logIn('new')).toBe(200)
})

test('a mirror comes back without the credentials of its upstream', async () => {
  await alice.put('/alice/mirror', { type: 'mirror', mirror_url: 'http://joe:hidden@upstream.example/simple/' })
  const serial = await remove('/alice/mirror')
  const { message } = await undo(serial)
  expect(message).toMatch(/set its mirror_url with them again$/)
  expect(server.running.storage.vault.get('upstream\0alice\0mirror')).toBeUndefined()
})

test('a place that is taken is named, and nothing is put back', async () => {
  const serial = await remove('/alice/dev/demo')
  await alice.upload('dev', wheel('demo', '1.0', { padding: 3 }))
  const { status, message } = await undo(serial)
  expect(status).toBe(409)
  expect(message).toContain(`the removal at serial ${serial} cannot be undone: there is something else now at `)
  expect(message).toContain('alice/dev/demo, alice/dev/demo/1.0')
  expect(message).toContain('alice/dev/demo/1.0/demo-1.0-py3-none-any.whl')
  expect(message).not.toContain('2.0') // nobody took that
})

test('what only surrounded a file stays as it is by now', async () => {
  const whole = await remove('/alice/dev/demo')
  await undo(whole)
  const first = await remove('/alice/dev/demo/1.0')
  const last = await remove(pathOf('dev', wheel('demo', '2.0')))
  await alice.upload('dev', sdist('Demo', '2.0'))
  expect((await undo(last)).status).toBe(200)
  expect((await undo(first)).status).toBe(200)
  const page = await (await alice.get('/alice/dev/+simple/demo/', { Accept: 'application/vnd.pypi.simple.v1+json' })).json()
  expect((page as { files: { filename: string }[] }).files.map(({ filename }) => filename)).toEqual([
    'demo-2.0-py3-none-any.whl',
    'demo-2.0.tar.gz',
    'demo-1.0-py3-none-any.whl',
    'demo-1.0.tar.gz',
  ])
})

test('an equal version of another spelling is in the way', async () => {
  const serial = await remove('/alice/dev/demo/1.0')
  await alice.upload('dev', wheel('demo', '1.0.0'))
  expect(await undo(serial)).toMatchObject({ status: 409, message: expect.stringMatching(/there is something else now at alice\/dev\/demo\//) })
})

test('what it stood in must be there', async () => {
  const file = await remove(pathOf('dev', WHEEL))
  const version = await remove('/alice/dev/demo/1.0')
  const gone = (path: string): object => ({ status: 409, message: expect.stringMatching(new RegExp(`it stood in what is gone: ${path}$`)) })
  expect(await undo(file)).toMatchObject(gone('alice/dev/demo/1.0'))
  const index = await remove('/alice/dev')
  expect(await undo(file)).toMatchObject(gone('alice/dev'))
  await undo(index)
  await undo(version)
  expect((await undo(file)).status).toBe(200)
})

test('an index and a user of the same name are others, and give nothing away', async () => {
  const file = await remove(pathOf('dev', WHEEL))
  await remove('/alice/dev')
  await alice.put('/alice/dev', {})
  expect(await undo(file)).toMatchObject({ status: 409, message: expect.stringMatching(/gone: alice\/dev$/) })
  await alice.patch('/alice/prod', { volatile: true })
  const user = await remove('/alice')
  const other = await server.signUp('alice', { dev: {} })
  expect(await undo(file, other)).toEqual({ status: 403, message: 'Access was denied to this resource.' })
  expect(await undo(user, other)).toEqual({ status: 403, message: 'Access was denied to this resource.' })
  expect(await undo(user, root)).toMatchObject({ status: 409, message: expect.stringMatching(/something else now at (.*, )?alice(,|$)/) })
})

test('who could have removed it may undo it, and nobody else', async () => {
  const bob = await server.signUp('bob')
  const forced = await remove('/alice/prod/demo/1.0?force')
  const plain = await remove('/alice/dev/demo/1.0')
  for (const serial of [forced, plain]) {
    expect((await undo(serial, bob)).status).toBe(403)
    expect((await undo(serial, 'nobody')).status).toBe(403)
  }
  for (const index of ['dev', 'prod']) await alice.patch(`/alice/${index}`, { acl_upload: ['bob'] })
  expect((await undo(forced, bob)).status).toBe(403)
  expect((await undo(plain, bob)).status).toBe(200)
  expect((await undo(forced)).status).toBe(200)
})

test('a token that may remove may undo what it could have removed', async () => {
  const made = await alice.post('/alice/+tokens', { name: 'ci', actions: ['delete'], indexes: ['alice/dev', 'alice/prod'] })
  const { result } = (await made.json()) as { result: { token: string } }
  const undoWithToken = async (serial: number): Promise<number> =>
    (await server.fetch('/+undo', { method: 'POST', headers: { Authorization: `Bearer ${result.token}` }, body: JSON.stringify({ serial }) })).status
  const plain = await remove('/alice/dev/demo/1.0')
  const forced = await remove('/alice/prod/demo/1.0?force')
  const index = await remove('/alice/dev')
  expect([await undoWithToken(forced), await undoWithToken(index)]).toEqual([403, 403])
  await undo(index)
  expect(await undoWithToken(plain)).toBe(200)
})

test('without its blob it is not put back', async () => {
  const serial = await remove('/alice/dev/demo/1.0')
  await server.running.blobs.delete(createHash('sha256').update(sdist('demo', '1.0').bytes).digest('hex'))
  expect(await undo(serial)).toEqual({
    status: 410,
    message: `the removal at serial ${serial} cannot be undone: its files were removed less than a day ago and are no longer kept`,
  })
})

test.each<[string, unknown, number, RegExp]>([
  ['no number', 'x', 400, /^an undo needs the serial of a removal, as a whole number$/],
  ['a negative one', -1, 400, /whole number/],
  ['a broken one', 1.5, 400, /whole number/],
  ['none', undefined, 400, /whole number/],
  ['the first entry', 0, 400, /^serial 0 is not the removal of/],
  ['an upload', 5, 400, /^serial 5 is not the removal of/],
  ['one to come', 9_999, 404, /^serial 9999 is not written yet/],
])('%s is refused', async (_, serial, status, message) => {
  expect(await undo(serial)).toEqual({ status, message: expect.stringMatching(message) })
})

test('the request is an object with a serial and nothing else', async () => {
  expect((await alice.post('/+undo', [1])).status).toBe(400)
  const reply = await alice.post('/+undo', { serial: 5, force: true })
  expect([reply.status, await reply.json()]).toEqual([400, { message: 'unknown additional options: force' }])
  expect((await alice.get('/+undo')).status).toBe(405)
})
