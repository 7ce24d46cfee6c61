import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer } from '#test/support/server.js'
import { sha256Of, SIMPLE_JSON, TestUpstream, text } from '#test/support/upstream.js'

const CONFIG = { privateUpstreams: ['127.0.0.1'] }
let upstream: TestUpstream
let first: TestServer
let server: TestServer

beforeAll(async () => {
  upstream = await TestUpstream.start()
  upstream.project('demo', ['demo-1.0.zip', 'demo-2.0.zip'].map((filename) => ({ filename, content: Buffer.from(filename) })))
  upstream.project('seen', [{ filename: 'seen-1.0.zip', content: Buffer.from('x') }])
  upstream.on('/simple/', text(JSON.stringify({ meta: { 'api-version': '1.0' }, projects: [{ name: 'demo' }, { name: 'far' }] }), { contentType: SIMPLE_JSON }))
  first = await startServer({ config: CONFIG })
  const alice = await first.signUp('alice', { mirror: { type: 'mirror', mirror_url: upstream.url, mirror_cache_expiry: 0 }, dev: { bases: ['alice/mirror'] } })
  await alice.upload('dev', wheel('own', '1.0'))
  for (const name of ['demo', 'seen', '']) await first.fetch(`/alice/dev/+simple/${name === '' ? '' : `${name}/`}`, { headers: { accept: SIMPLE_JSON } })
  const [kept] = await filesOf(first, '/alice/dev/+simple/demo/')
  await (await first.fetch(pathOf(kept?.url, '/alice/dev/+simple/demo/'))).arrayBuffer()
  await first.stop()
  server = await startServer({ config: { ...CONFIG, offline: true }, serverDir: first.serverDir })
  upstream.asked.length = 0
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await first[Symbol.asyncDispose]()
  expect(upstream.asked).toEqual([])
  await upstream[Symbol.asyncDispose]()
})

interface File {
  readonly filename: string
  readonly url: string
}

function pathOf(url: string | undefined, page: string): string {
  return new URL(url ?? '', `http://x.example${page}`).pathname
}

async function filesOf(from: TestServer, page: string): Promise<readonly File[]> {
  const reply = await from.fetch(page, { headers: { accept: SIMPLE_JSON } })
  expect([page, reply.status]).toEqual([page, 200])
  return ((await reply.json()) as { files: File[] }).files
}

test('pages, now and then, and JSON have the files that are stored', async () => {
  for (const page of ['/alice/dev/+simple/demo/', '/alice/mirror/+simple/demo/', `/alice/dev/+at/${server.head()}/+simple/demo/`]) {
    const [file, ...others] = await filesOf(server, page)
    expect([page, file?.filename, others]).toEqual([page, 'demo-2.0.zip', []])
    if (!page.includes('+at')) expect(await (await server.fetch(pathOf(file?.url, page))).text()).toBe('demo-2.0.zip')
  }
  const json = (await (await server.fetch('/alice/dev/demo', { headers: { accept: 'application/json' } })).json()) as { result: object }
  expect(Object.keys(json.result)).toEqual(['2.0'])
  expect((await server.fetch('/alice/dev/+simple/demo/')).headers.get('cache-control')).toContain('no-store')
  expect(await filesOf(server, '/alice/dev/+simple/own/')).toHaveLength(1)
})

test('the rest is not there, and says why', async () => {
  for (const path of ['/alice/dev/+simple/seen/', '/alice/mirror/+simple/seen/', '/alice/mirror/+simple/never/', '/alice/dev/seen', '/alice/mirror/never', '/alice/dev/demo/1.0', '/alice/dev/never/1.0']) {
    const reply = await server.fetch(path, { headers: { accept: path.includes('+simple') ? SIMPLE_JSON : 'application/json' } })
    expect([path, reply.status, await reply.text()]).toEqual([path, 404, expect.stringContaining('offline')])
  }
})

test('a file that is not stored is 502, also for HEAD', async () => {
  const sha256 = sha256Of(Buffer.from('demo-1.0.zip'))
  const path = `/alice/mirror/+f/${sha256.slice(0, 3)}/${sha256.slice(3, 16)}/demo-1.0.zip`
  for (const method of ['GET', 'HEAD']) expect((await server.fetch(path, { method })).status).toBe(502)
})

test('lists have the names that are known', async () => {
  for (const index of ['alice/dev', 'alice/mirror']) {
    const reply = await server.fetch(`/${index}/+simple/`, { headers: { accept: SIMPLE_JSON } })
    const { projects } = (await reply.json()) as { projects: { name: string }[] }
    expect(projects.map(({ name }) => name)).toEqual(index === 'alice/dev' ? ['demo', 'own', 'seen'] : ['demo', 'seen'])
  }
})
