import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { SimpleListJson } from '#log-format/api/envelope.js'
import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

const SIMPLE_JSON = { Accept: 'application/vnd.pypi.simple.v1+json' }

/** A server on which the same things happened at the same serials, but for the content of the file. */
async function twin(seed: number): Promise<{ readonly server: TestServer; readonly nina: TestUser }> {
  const server = await startServer()
  const nina = await server.signUp('nina', { dev: {} })
  await nina.upload('dev', wheel('demo', '1.0', { padding: seed }))
  return { server, nina }
}

test.each(['/nina/dev/+simple/demo/', '/nina/dev/+simple/', '/nina/dev/+at/3/+simple/demo/', '/nina/dev/+at/3/+simple/'])(
  'what a cache has of %s from one server is not confirmed by another one at the same serial',
  async (path) => {
    const [one, other] = [await twin(1), await twin(2)]
    await using _first = one.server
    await using second = other.server
    expect(second.head()).toBe(one.server.head())
    const etag = (await one.server.fetch(path)).headers.get('etag') ?? ''
    for (let round = 0; round < 2; round += 1) {
      expect((await second.fetch(path, { headers: { 'If-None-Match': etag } })).status).toBe(200)
      expect((await one.server.fetch(path, { headers: { 'If-None-Match': etag } })).status).toBe(304)
    }
  },
)

test('a past list is not confirmed to whom it would show more now', async () => {
  const { server, nina } = await twin(1)
  await using _server = server
  await nina.put('/nina/base', { acl_read: ['nina'] })
  await nina.upload('base', wheel('other', '1.0'))
  await nina.patch('/nina/dev', { bases: ['nina/base'] })
  const path = `/nina/dev/+at/${server.head()}/+simple/`
  const before = await server.fetch(path, { headers: SIMPLE_JSON })
  expect(((await before.json()) as SimpleListJson).projects.map(({ name }) => name)).toEqual(['demo'])
  await nina.patch('/nina/base', ['acl_read-='])
  const after = await server.fetch(path, { headers: { ...SIMPLE_JSON, 'If-None-Match': before.headers.get('etag') ?? '' } })
  expect(after.status).toBe(200)
  expect(((await after.json()) as SimpleListJson).projects.map(({ name }) => name)).toEqual(['demo', 'other'])
})

test('addresses beyond all measure are answered, but fill no memory', async () => {
  const { server } = await twin(1)
  await using _server = server
  const sizes: number[] = []
  for (let round = 0; round < 4; round += 1) {
    for (let at = 0; at < 300; at += 1) {
      const long = `${round}-${at}${'x'.repeat(14_000)}`
      expect((await server.fetch(`/nina/dev/+simple/demo/?${long}`, { headers: SIMPLE_JSON })).status).toBe(200)
      expect((await server.fetch(`/nina/dev/+simple/q${long}/`, { headers: SIMPLE_JSON })).status).toBe(404)
    }
    sizes.push(heapBytes())
  }
  expect((sizes.at(-1) ?? 0) - (sizes[0] ?? 0)).toBeLessThan(10_000_000)
})

/** In use after a collection. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc')
  ;(runInNewContext('gc') as () => void)()
  return process.memoryUsage().heapUsed
}
