import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { sha256Of, SIMPLE_JSON, status, TestUpstream } from '#test/support/upstream.js'

const PRIVATE = wheel('secret', '1.0')
const DIGEST = sha256Of(PRIVATE.bytes)

let upstream: TestUpstream
let server: TestServer
let mallory: TestUser

beforeAll(async () => {
  upstream = await TestUpstream.start()
  server = await startServer({ config: { privateUpstreams: ['127.0.0.1'] } })
  const alice = await server.signUp('alice', { private: { acl_read: ['alice'] } })
  mallory = await server.signUp('mallory', { mirror: { type: 'mirror', mirror_url: upstream.url, mirror_cache_expiry: 0 }, dev: {} })
  expect((await alice.upload('private', PRIVATE)).status).toBe(200)
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

async function urlIn(project: string, index = 'mirror'): Promise<string> {
  const page = `${server.url}/mallory/${index}/+simple/${project}/`
  const { files } = (await (await fetch(page, { headers: { accept: SIMPLE_JSON } })).json()) as { files: { url: string }[] }
  return new URL(files[0]!.url, page).pathname
}

const filePath = (project: string): string => `/files/${project}/${PRIVATE.filename.replace('secret', project)}`

/** An upstream that announces the digest of somebody's private file. */
function announce(project: string, fields: object = {}): void {
  upstream.project(project, [{ filename: PRIVATE.filename.replace('secret', project), content: PRIVATE.bytes, fields: { ...fields } }])
}

describe('a digest that an upstream announces gives nobody the private file that has it', () => {
  test.each([{}, { range: 'bytes=0-99' }, { 'if-range': `"${DIGEST}"`, range: 'bytes=-10' }])('asked with %j', async (headers) => {
    announce('asked')
    upstream.on(filePath('asked'), status(404))
    const reply = await server.fetch(await urlIn('asked'), { headers })
    expect(reply.status).toBe(404)
    expect(await reply.text()).toContain('has the file no more')
  })

  test('as the metadata of a wheel', async () => {
    announce('told', { 'core-metadata': { sha256: DIGEST } })
    upstream.on(`${filePath('told')}.metadata`, status(500))
    expect((await server.fetch(`${await urlIn('told')}.metadata`)).status).toBe(502)
  })

  test('by a push from the mirror', async () => {
    announce('pushed')
    upstream.on(filePath('pushed'), status(404))
    await urlIn('pushed')
    const head = server.head()
    const reply = await mallory.post('/mallory/mirror/', { name: 'pushed', version: '1.0', targetindex: 'mallory/dev' })
    expect([reply.status, server.head()]).toEqual([502, head])
  })

  test('by another list of upstreams', async () => {
    await using other = await TestUpstream.start()
    for (const teller of [upstream, other]) teller.project('listed', [{ filename: PRIVATE.filename.replace('secret', 'listed'), content: PRIVATE.bytes }])
    await mallory.put('/mallory/many', { type: 'mirror', mirror_url: upstream.url, mirror_cache_expiry: 0 })
    for (const teller of [upstream, other]) teller.on(filePath('listed'), status(500))
    for (const urls of [[upstream, other], [other, upstream], [other], [upstream]]) {
      const [mirror_url, ...mirror_fallback_urls] = urls.map(({ url }) => url)
      expect((await mallory.patch('/mallory/many', { mirror_url, mirror_fallback_urls })).status).toBe(200)
      expect((await server.fetch(await urlIn('listed', 'many'))).status).toBe(502)
    }
  })

  test('once the bytes came from there it is a file like any other', async () => {
    announce('owned')
    const url = await urlIn('owned')
    for (const before of [0, 1]) {
      expect(sha256Of(Buffer.from(await (await server.fetch(url)).arrayBuffer()))).toBe(DIGEST)
      expect(upstream.count(filePath('owned'))).toBe(1)
      if (before === 0) upstream.on(filePath('owned'), status(500))
    }
    announce('again') // a mirror may show under another name what it fetched
    expect((await server.fetch(await urlIn('again'))).status).toBe(200)
    expect(upstream.count(filePath('again'))).toBe(0)
  })
})
