import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { brotliCompressSync } from 'node:zlib'
import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { type Answer, redirect, silence, SIMPLE_JSON, status, TestUpstream, text, truncated } from '#test/support/upstream.js'

const CONFIG = { privateUpstreams: ['127.0.0.1'] }
const LIST = '/simple/'

let upstream: TestUpstream
let server: TestServer
let alice: TestUser
let time = Date.parse('2026-01-02T03:04:05Z')
const now = (): number => time

beforeAll(async () => {
  upstream = await TestUpstream.start()
  server = await startServer({ config: CONFIG, now })
  alice = await server.signUp('alice', {
    mirror: { type: 'mirror', mirror_url: upstream.url, mirror_cache_expiry: 100 },
    dev: { bases: ['alice/mirror'] },
    child: { bases: ['alice/dev'] },
  })
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})
/** Past every freshness and every pause of an upstream that failed. */
beforeEach(() => { time += 1_000_000 })

function lists(names: readonly string[], etag?: string): Answer {
  const body = JSON.stringify({ meta: { 'api-version': '1.1' }, projects: names.map((name) => ({ name })) })
  return text(body, { contentType: `${SIMPLE_JSON}; charset=utf-8`, ...(etag !== undefined && { etag }) })
}

interface List {
  readonly status: number
  readonly headers: Headers
  readonly names: readonly string[]
}

async function list(index: string, { from = server, path = '+simple/', headers = {} }: { readonly from?: Pick<TestServer, 'fetch'>; readonly path?: string; readonly headers?: Record<string, string> } = {}): Promise<List> {
  const reply = await from.fetch(`/${index}/${path}`, { headers: { accept: SIMPLE_JSON, ...headers } })
  const body = await reply.text()
  const { projects } = reply.status === 200 ? (JSON.parse(body) as { projects: { name: string }[] }) : { projects: [] }
  return { status: reply.status, headers: reply.headers, names: projects.map(({ name }) => name) }
}

async function names(index: string): Promise<readonly string[]> {
  return (await list(index)).names
}

test('the list is that of the upstream, sorted and in normal form, in both spellings and at the URL of the index', async () => {
  upstream.on(LIST, lists(['Zope.Interface', 'b', 'a_1', 'b']))
  expect(await names('alice/mirror')).toEqual(['a-1', 'b', 'zope-interface'])
  expect((await list('alice/mirror', { path: '' })).names).toEqual(['a-1', 'b', 'zope-interface'])
  const html = await (await server.fetch('/alice/child/+simple/', { headers: { accept: 'text/html' } })).text()
  expect([...html.matchAll(/href="([^"]+)"/g)].map(([, href]) => href)).toEqual(['a-1/', 'b/', 'zope-interface/'])
  expect(upstream.count(LIST)).toBe(1)
})

test('an upstream may answer in HTML, packed and after a redirect', async () => {
  const html = brotliCompressSync(Buffer.from('<html><a href="x/">x</a><a href="/elsewhere/simple/y/">y</a><a href="/simple/z">z</a></html>'))
  upstream.on(LIST, redirect('/elsewhere/simple/'))
  upstream.on('/elsewhere/simple/', (_request, response) => void response.writeHead(200, { 'content-type': 'text/html', 'content-encoding': 'br' }).end(html))
  expect(await names('alice/mirror')).toEqual(['x', 'y'])
})

test('pages and files never ask for the list, nor does the log grow by it', async () => {
  upstream.on(LIST, lists(['asked']))
  upstream.project('asked', [])
  const before = upstream.count(LIST)
  await server.fetch('/alice/child/+simple/asked/')
  await server.fetch('/alice/mirror?no_projects=')
  expect(upstream.count(LIST)).toBe(before)
  const head = server.head()
  expect(await names('alice/child')).toEqual(['asked'])
  expect(server.head()).toBe(head)
})

test('fifty who ask for a cold list cause one request, and it is fresh for a while', async () => {
  upstream.on(LIST, lists(['one']))
  const before = upstream.count(LIST)
  const found = await Promise.all(Array.from({ length: 50 }, (_, at) => names(at % 2 === 0 ? 'alice/mirror' : 'alice/child')))
  expect(found.every((each) => each.includes('one'))).toBe(true)
  time += 99_000
  await names('alice/mirror')
  expect(upstream.count(LIST)).toBe(before + 1)
})

test('it is revalidated, answered 304 to who has it, and another one takes its place', async () => {
  upstream.on(LIST, lists(['first'], '"1"'))
  const first = await list('alice/child')
  time += 101_000
  const etag = first.headers.get('etag') ?? ''
  expect((await list('alice/child', { headers: { 'if-none-match': etag } })).status).toBe(304)
  expect(upstream.asked.at(-1)?.headers['if-none-match']).toBe('"1"')
  expect((await list('alice/child')).headers.get('etag')).toBe(etag)
  upstream.on(LIST, lists(['second'], '"2"'))
  time += 101_000
  const second = await list('alice/child', { headers: { 'if-none-match': etag } })
  expect([second.status, second.names.includes('second'), second.names.includes('first')]).toEqual([200, true, false])
  const files = await readdir(join(server.serverDir, 'mirror-names'))
  expect(files.filter((name) => name.endsWith('.names')).length).toBeLessThanOrEqual(2)
})

describe('when the upstream fails', () => {
  const OUTAGES: readonly (readonly [string, Answer])[] = [
    ['500', status(500)],
    ['404', status(404)],
    ['nonsense', text('{', { contentType: SIMPLE_JSON })],
    ['silence', silence],
    ['half an answer', truncated(Buffer.from('{"meta":{"api-version":"1.0"},"projects":[{"name":"half"},'), 999)],
    ['an encoding nobody asked for', status(200, { 'content-encoding': 'zstd' })],
  ]
  test.each(OUTAGES)('%s: 502 where nothing is known, else the list of before, marked', async (_, outage) => {
    await using impatient = await startServer({ config: CONFIG, now, upstreamTimeoutMs: 200 })
    const bob = await impatient.signUp('bob', { mirror: { type: 'mirror', mirror_url: upstream.url, mirror_cache_expiry: 100 }, child: { bases: ['bob/mirror'] } })
    await bob.upload('child', wheel('own', '1.0'))
    upstream.on(LIST, outage)
    expect((await list('bob/mirror', { from: impatient })).status).toBe(502)
    const child = await list('bob/child', { from: impatient })
    expect([child.status, child.names, child.headers.get('cache-control')]).toEqual([200, ['own'], expect.stringContaining('no-store')])
    time += 100_000
    upstream.on(LIST, lists(['there']))
    const well = await list('bob/child', { from: impatient })
    expect([well.names, well.headers.get('cache-control')]).toEqual([['own', 'there'], expect.not.stringContaining('no-store')])
    upstream.on(LIST, outage)
    time += 101_000
    const stale = await list('bob/mirror', { from: impatient })
    expect([stale.status, stale.names, stale.headers.get('cache-control')]).toEqual([200, ['there'], expect.stringContaining('no-store')])
  })

  test('a restart keeps the list, and forgets that of an index that is gone', async () => {
    upstream.on(LIST, lists(['kept'], '"k"'))
    await using first = await startServer({ config: CONFIG, now })
    const bob = await first.signUp('bob', { mirror: { type: 'mirror', mirror_url: upstream.url }, other: { type: 'mirror', mirror_url: upstream.url } })
    for (const index of ['bob/mirror', 'bob/other']) expect((await list(index, { from: first })).names).toEqual(['kept'])
    expect((await bob.delete('/bob/other')).status).toBe(201)
    await first.stop()
    await using second = await startServer({ config: CONFIG, now, serverDir: first.serverDir })
    const before = upstream.count(LIST)
    expect((await list('bob/mirror', { from: second })).names).toEqual(['kept'])
    expect(upstream.count(LIST)).toBe(before)
    expect(await readdir(join(first.serverDir, 'mirror-names'))).toHaveLength(1)
    await second.stop()
  })
})

test('private names are merged in, each once; what only an unreadable index has or shadows is not told', async () => {
  upstream.on(LIST, lists(['public', 'shadowed', 'closed']))
  await alice.put('/alice/secret', { acl_read: ['alice'], bases: [] })
  await alice.put('/alice/mixed', { bases: ['alice/secret', 'alice/dev'] })
  await alice.upload('dev', wheel('shadowed', '1.0'))
  await alice.upload('secret', wheel('closed', '1.0'))
  await alice.upload('secret', wheel('unseen', '1.0'))
  const found = await names('alice/mixed')
  expect(found.filter((name) => ['public', 'shadowed', 'closed', 'unseen'].includes(name))).toEqual(['public', 'shadowed'])
  expect((await server.fetch('/alice/mixed/+simple/closed/')).status).toBe(404) // as the list says
  expect((await list('alice/mixed', { from: alice })).names).toEqual(expect.arrayContaining(['closed', 'public', 'shadowed', 'unseen']))
  await alice.patch('/alice/mixed', ['mirror_whitelist+=closed'])
  expect(await names('alice/mixed')).toContain('closed')
})

test('mirror_no_project_list: the upstream is not asked, and the list has what is known', async () => {
  await alice.put('/alice/quiet', { type: 'mirror', mirror_url: upstream.url, mirror_no_project_list: true })
  upstream.project('found', [])
  await server.fetch('/alice/quiet/+simple/found/')
  const before = upstream.count(LIST)
  expect(await names('alice/quiet')).toEqual(['found'])
  expect(upstream.count(LIST)).toBe(before)
})

test('an as-of list has what was known then', async () => {
  upstream.on(LIST, lists(['later']))
  await names('alice/mirror')
  expect((await list(`alice/mirror/+at/${server.head()}`)).names).not.toContain('later')
})
