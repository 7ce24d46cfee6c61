import type { SimpleProjectJson } from '#log-format/api/envelope.js'
import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

let server: TestServer
let nina: TestUser
beforeEach(async () => {
  server = await startServer()
  nina = await server.signUp('nina', { dev: {}, other: {} })
})
afterEach(() => server[Symbol.asyncDispose]())

const FILE = wheel('demo', '1.0')

async function uploaded(index = 'dev'): Promise<string> {
  expect((await nina.upload(index, FILE)).status).toBe(200)
  const page = (await (await server.fetch(`/nina/${index}/+simple/demo/`, { headers: { Accept: 'application/vnd.pypi.simple.v1+json' } })).json()) as SimpleProjectJson
  return new URL(page.files[0]!.url, `${server.url}/nina/${index}/+simple/demo/`).pathname
}

/** All headers but those that differ from one reply to the next. */
function steady(reply: Response): Record<string, string> {
  const unsteady = ['date', 'x-devpi-serial', 'connection', 'keep-alive']
  return Object.fromEntries([...reply.headers].filter(([name]) => !unsteady.includes(name)))
}

test('the second answer is the first one, with the serial of its own moment', async () => {
  const path = await uploaded()
  for (const address of [path, `${path}.metadata`, path.replace('+f', '%2Bf')]) {
    const first = await server.fetch(address)
    await nina.put(`/nina/index${address.length}`, {})
    const second = await server.fetch(address)
    expect(second.status).toBe(200)
    expect(steady(second)).toEqual(steady(first))
    expect(second.headers.get('x-devpi-serial')).toBe(String(server.head()))
    expect(Buffer.from(await second.arrayBuffer()).equals(Buffer.from(await first.arrayBuffer()))).toBe(true)

    const head = await server.fetch(address, { method: 'HEAD' })
    expect(steady(head)).toEqual(steady(first))
    expect(await head.text()).toBe('')
    const unchanged = await server.fetch(address, { headers: { 'If-None-Match': first.headers.get('etag') ?? '' } })
    expect(unchanged.status).toBe(304)
    expect(unchanged.headers.get('etag')).toBe(first.headers.get('etag'))
    expect(unchanged.headers.get('content-type')).toBeNull()
  }
})

test('what is not a plain GET for everybody is found anew', async () => {
  const path = await uploaded()
  await server.fetch(path)
  const range = await server.fetch(path, { headers: { Range: 'bytes=0-3' } })
  expect([range.status, await range.text()]).toEqual([206, 'PK\x03\x04'])
  const meta = await server.fetch(path, { headers: { Accept: 'application/json' } })
  expect(await meta.json()).toMatchObject({ type: 'releasefilemeta' })
  expect((await server.fetch(path, { method: 'POST', body: '{}' })).headers.get('content-type')).toBe('application/json')
})

test.each<[string, (path: string) => Promise<Response>, number]>([
  ['the file is removed', (path) => nina.delete(path), 410],
  ['its version is removed', () => nina.delete('/nina/dev/demo/1.0'), 410],
  ['its project is removed', () => nina.delete('/nina/dev/demo'), 410],
  ['its index is removed', () => nina.delete('/nina/dev'), 410],
  ['its user is removed', () => nina.delete('/nina'), 410],
  ['the index may not be read any more', () => nina.patch('/nina/dev', { acl_read: ['nina'] }), 401],
  ['another index may not be read any more', () => nina.patch('/nina/other', { acl_read: ['nina'] }), 200],
  ['the version is yanked', () => nina.patch('/nina/dev/demo/1.0', { yanked: true }), 200],
])('after %s', async (_, change, status) => {
  const path = await uploaded()
  await uploaded('other')
  for (const address of [path, `${path}.metadata`]) for (let round = 0; round < 2; round += 1) expect((await server.fetch(address)).status).toBe(200)
  expect((await change(path)).ok).toBe(true)
  for (const address of [path, `${path}.metadata`]) for (let round = 0; round < 2; round += 1) expect((await server.fetch(address)).status).toBe(status)
})

test('a file that only some may read is never answered from here', async () => {
  await nina.patch('/nina/dev', { acl_read: ['nina'] })
  expect((await nina.upload('dev', FILE)).status).toBe(200)
  const { result } = (await (await nina.get('/nina/dev/demo/1.0')).json()) as { result: { '+links': { href: string }[] } }
  const path = new URL(result['+links'][0]!.href).pathname
  for (let round = 0; round < 2; round += 1) {
    expect((await nina.get(path, {})).status).toBe(200)
    expect((await server.fetch(path)).status).toBe(401)
  }
})
