import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'
import { sweepOnce } from '#server/process/sweeper.js'
import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { type Answer, sha256Of, silence, SIMPLE_JSON, status, TestUpstream, text, truncated, type UpstreamFile } from '#test/support/upstream.js'

const CONFIG = { privateUpstreams: ['127.0.0.1'] }

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

interface Page {
  readonly status: number
  readonly headers: Headers
  readonly files: readonly { readonly filename: string; readonly url: string; readonly [field: string]: unknown }[]
  readonly versions: readonly string[]
}

async function page(project: string, index = 'alice/mirror', from: TestServer = server): Promise<Page> {
  const reply = await from.fetch(`/${index}/+simple/${project}/`, { headers: { accept: SIMPLE_JSON } })
  const body = await reply.text()
  const { files = [], versions = [] } = reply.status === 200 ? (JSON.parse(body) as Page) : {}
  return { status: reply.status, headers: reply.headers, files, versions }
}

/** Project pages that were answered from memory so far. */
async function cacheHits(): Promise<number> {
  const metrics = await (await server.fetch('/+metrics')).text()
  return Number(/^devpi_page_cache_hits_total (\d+)$/m.exec(metrics)?.[1])
}

async function names(project: string, index?: string): Promise<string[]> {
  return (await page(project, index)).files.map(({ filename }) => filename)
}

async function urlOf(project: string, index = 'alice/mirror'): Promise<string> {
  const [file] = (await page(project, index)).files
  return new URL(file?.url ?? '', `${server.url}/${index}/+simple/${project}/`).pathname
}

function file(filename: string, content: Buffer | string = filename, fields: UpstreamFile['fields'] = {}): UpstreamFile {
  return { filename, content: Buffer.from(content), fields }
}

describe('pages', () => {
  test('are those of the upstream, with all that it says of a file', async () => {
    const said = { 'requires-python': '>=3.9', 'upload-time': '2020-01-02T03:04:05.678Z', yanked: 'broken', provenance: 'https://x.example/p' }
    upstream.project('fields', [file('fields-1.0.zip', 'abc', said), file('fields-1.1.zip')])
    const { files, versions, headers } = await page('fields')
    expect(versions).toEqual(['1.0', '1.1'])
    expect(files[1]).toMatchObject({ ...said, filename: 'fields-1.0.zip', size: 3, hashes: { sha256: sha256Of(Buffer.from('abc')) } })
    expect(files[1]?.url).toMatch(/^\.\.\/\.\.\/\+f\/ba7\/816bf8f01cfea\/fields-1\.0\.zip$/)
    expect(headers.get('cache-control')).not.toContain('no-store')
    expect(await page('fields', 'alice/child')).toMatchObject({ status: 200, versions: ['1.0', '1.1'] })
  })

  test('what is neither of the project nor a safe name is left out', async () => {
    upstream.project('odd', [file('other-1.0.zip'), file('odd-1.0.txt'), file('.config'), file("odd-'1.zip"), file('odd-1.0.zip')])
    expect(await names('odd')).toEqual(['odd-1.0.zip'])
  })

  test('fifty clients that ask for a cold page cause one request and all get it', async () => {
    upstream.project('cold', [file('cold-1.0.zip')])
    const pages = await Promise.all(Array.from({ length: 50 }, (_, at) => page('cold', at % 2 === 0 ? 'alice/mirror' : 'alice/child')))
    expect(pages.every(({ files }) => files.length === 1)).toBe(true)
    expect(upstream.count('/simple/cold/')).toBe(1)
  })

  test('fresh ones are not asked for again, later ones are revalidated, and no change writes nothing', async () => {
    upstream.project('calm', [file('calm-1.0.zip')])
    const first = await page('calm', 'alice/child')
    const head = server.head()
    const hits = await cacheHits()
    expect(hits).not.toBeNaN()
    await page('calm', 'alice/child')
    expect(await cacheHits()).toBe(hits + 1)
    for (let round = 0; round < 20; round += 1) {
      expect((await page('calm', 'alice/child')).headers.get('etag')).toBe(first.headers.get('etag'))
      time += 101_000
    }
    expect(upstream.count('/simple/calm/')).toBe(20)
    expect(upstream.asked.at(-1)?.headers['if-none-match']).toMatch(/^"/)
    expect(server.head()).toBe(head)
  })

  test('a new file costs little, and what went is marked, off the page and still to be had', async () => {
    const many = Array.from({ length: 300 }, (_, at) => file(`grow-${at}.0.zip`))
    upstream.project('grow', many)
    expect(await names('grow')).toHaveLength(300)
    const gone = await urlOf('grow')
    const before = server.running.storage.writeCounts.bytes
    upstream.project('grow', [...many, file('grow-300.0.zip')])
    time += 101_000
    expect(await names('grow')).toHaveLength(301)
    expect(server.running.storage.writeCounts.bytes - before).toBeLessThan(1024)
    upstream.project('grow', many.slice(0, 2))
    time += 101_000
    expect(await names('grow')).toHaveLength(2)
    upstream.project('grow', many)
    expect((await server.fetch(gone)).status).toBe(200)
  })

  test('an as-of view shows what was known then', async () => {
    upstream.project('then', [file('then-1.0.zip')])
    await page('then')
    const serial = server.head()
    upstream.project('then', [file('then-1.0.zip'), file('then-2.0.zip')])
    time += 101_000
    expect(await names('then', 'alice/child')).toHaveLength(2)
    expect(await names('then', `alice/child/+at/${serial}`)).toEqual(['then-1.0.zip'])
  })
})

describe('when the upstream fails', () => {
  let impatient: TestServer
  beforeAll(async () => {
    impatient = await startServer({ config: CONFIG, now, upstreamTimeoutMs: 200 })
    const other = await impatient.signUp('alice', { mirror: { type: 'mirror', mirror_url: upstream.url, mirror_cache_expiry: 100 } })
    await other.put('/alice/child', { bases: ['alice/mirror'] })
  })
  afterAll(() => impatient[Symbol.asyncDispose]())

  const OUTAGES: readonly (readonly [string, Answer])[] = [
    ['500', status(500)],
    ['429', status(429, { 'retry-after': '9' })],
    ['nonsense', text('{', { contentType: SIMPLE_JSON })],
    ['silence', silence],
    ['half an answer', truncated(Buffer.from('{'), 99)],
  ]
  test.each(OUTAGES)('%s: 502 with a sentence for what is not known, stale pages for what is, and they get well again', async (name, outage) => {
    const project = `out-${name.replace(/\W/g, '')}`
    upstream.on(`/simple/${project}/`, outage)
    for (const index of ['alice/mirror', 'alice/child']) {
      const reply = await impatient.fetch(`/${index}/+simple/${project}/`)
      expect(reply.status).toBe(502)
      time += 100_000
    }
    upstream.project(project, [file(`${project}-1.0.zip`)])
    expect((await page(project, 'alice/mirror', impatient)).files).toHaveLength(1)
    time += 101_000
    upstream.on(`/simple/${project}/`, outage)
    const stale = await page(project, 'alice/child', impatient)
    expect(stale.files).toHaveLength(1)
    expect(stale.headers.get('cache-control')).toContain('no-store')
    time += 101_000
    upstream.project(project, [file(`${project}-2.0.zip`)])
    const well = await page(project, 'alice/child', impatient)
    expect(well.files.map(({ filename }) => filename)).toEqual([`${project}-2.0.zip`])
    expect(well.headers.get('cache-control')).not.toContain('no-store')
  })

  test('a failure is believed for a moment, unless somebody wants it asked again', async () => {
    upstream.on('/simple/storm/', status(500))
    for (const index of ['alice/mirror', 'alice/child', 'alice/child']) expect((await page('storm', index)).status).toBe(502)
    expect(upstream.count('/simple/storm/')).toBe(1)
    time += 3000
    expect((await page('storm')).status).toBe(502)
    expect(upstream.count('/simple/storm/')).toBe(2)
    upstream.project('storm', [file('storm-1.0.zip')])
    expect((await server.fetch('/alice/child/+simple/storm/refresh', { method: 'POST' })).status).toBe(302)
    expect(await names('storm', 'alice/child')).toEqual(['storm-1.0.zip'])
  })

  test('no such project is 404, and believed for a while', async () => {
    expect((await page('absent')).status).toBe(404)
    expect((await page('absent', 'alice/child')).status).toBe(404)
    expect(upstream.count('/simple/absent/')).toBe(1)
    time += 61_000
    upstream.project('absent', [file('absent-1.0.zip')])
    expect((await page('absent')).status).toBe(200)
  })

  test('a private network is not asked unless the operator says so', async () => {
    await alice.put('/alice/inside', { type: 'mirror', mirror_url: upstream.url.replace('127.0.0.1', '127.0.0.3') })
    const reply = await server.fetch('/alice/inside/+simple/demo/')
    expect([reply.status, await reply.text()]).toEqual([502, expect.stringContaining('--allow-private-upstream 127.0.0.3')])
  })
})

describe('private names', () => {
  test('are never sent upstream, also not by who may not read the index that has them', async () => {
    await alice.put('/alice/secret', { acl_read: ['alice'], bases: [] })
    await alice.put('/alice/mixed', { bases: ['alice/secret', 'alice/mirror'] })
    await alice.upload('dev', wheel('internal', '1.0'))
    await alice.upload('secret', wheel('hidden', '1.0'))
    upstream.project('internal', [file('internal-99.0.zip')])
    upstream.project('hidden', [file('hidden-99.0.zip')])
    expect(await names('internal', 'alice/child')).toEqual(['internal-1.0-py3-none-any.whl'])
    expect((await page('hidden', 'alice/mixed')).status).toBe(404)
    expect(upstream.count('/simple/internal/') + upstream.count('/simple/hidden/')).toBe(0)
    expect(await names('internal')).toEqual(['internal-99.0.zip']) // the mirror itself knows of no private name
    expect(await names('internal', 'alice/child')).toEqual(['internal-1.0-py3-none-any.whl'])
  })

  test('the whitelist opens one', async () => {
    await alice.put('/alice/open', { bases: ['alice/dev'], mirror_whitelist: ['opened'] })
    await alice.upload('dev', wheel('opened', '1.0'))
    upstream.project('opened', [file('opened-2.0.zip')])
    expect(await names('opened', 'alice/open')).toEqual(['opened-1.0-py3-none-any.whl', 'opened-2.0.zip'])
    expect(await names('opened', 'alice/child')).toEqual(['opened-1.0-py3-none-any.whl'])
    await alice.patch('/alice/open', ['mirror_whitelist-=opened'])
    expect(await names('opened', 'alice/open')).toEqual(['opened-1.0-py3-none-any.whl'])
  })

  test('a cached page gives way when a private index gets the name', async () => {
    upstream.project('later', [file('later-1.0.zip')])
    expect(await names('later', 'alice/child')).toEqual(['later-1.0.zip'])
    await alice.upload('dev', wheel('later', '0.1'))
    expect(await names('later', 'alice/child')).toEqual(['later-0.1-py3-none-any.whl'])
  })
})

describe('files', () => {
  async function blobCount(): Promise<number> {
    const found = await readdir(join(server.serverDir, 'files'), { recursive: true, withFileTypes: true })
    return found.filter((entry) => entry.isFile()).length
  }

  test('fifty clients that want a cold file cause one request, and late ones read along', async () => {
    const content = randomBytes(700_000)
    upstream.project('big', [file('big-1.0.zip', content)])
    let finish = (): void => undefined
    const rest = new Promise<void>((resolve) => { finish = resolve })
    upstream.on('/files/big/big-1.0.zip', async (_request, response) => {
      response.writeHead(200, { 'content-length': content.length })
      response.write(content.subarray(0, 600_000))
      await rest
      response.end(content.subarray(600_000))
    })
    const url = await urlOf('big', 'alice/child')
    const first = await server.fetch(url) // its head is here while the upstream still sends
    const head = await server.fetch(url, { method: 'HEAD' })
    expect([head.status, head.headers.get('content-length')]).toEqual([200, '700000'])
    const part = server.fetch(url, { headers: { range: 'bytes=650000-650009' } })
    const others = await Promise.all(Array.from({ length: 49 }, () => server.fetch(url)))
    finish()
    for (const reply of [first, ...others]) expect(sha256Of(Buffer.from(await reply.arrayBuffer()))).toBe(sha256Of(content))
    expect((await part).status).toBe(206)
    expect(Buffer.from(await (await part).arrayBuffer())).toEqual(content.subarray(650_000, 650_010))
    expect(upstream.count('/files/big/big-1.0.zip')).toBe(1)
    expect(Buffer.from(await (await server.fetch(url)).arrayBuffer()).equals(content)).toBe(true)
    expect(upstream.count('/files/big/big-1.0.zip')).toBe(1)
  })

  const FAULTS: readonly (readonly [string, (content: Buffer) => Answer, number])[] = [
    ['another content', (content) => (_request, response) => void response.end(Buffer.alloc(content.length, 'x')), 502],
    ['less than it promised', (content) => truncated(content.subarray(0, 10), content.length), 502],
    ['another length', () => (_request, response) => void response.end('short'), 502],
    ['an error', () => status(503), 502],
    ['nothing any more', () => status(404), 404],
  ]
  test.each(FAULTS)('%s: an error, and nothing is kept', async (name, fault, wanted) => {
    const project = `bad-${name.replace(/\W/g, '')}`
    const small = Buffer.from(project)
    upstream.project(project, [file(`${project}-1.0.zip`, small)])
    const url = await urlOf(project)
    const before = await blobCount()
    upstream.on(`/files/${project}/${project}-1.0.zip`, fault(small))
    expect((await server.fetch(url)).status).toBe(wanted)
    expect(await blobCount()).toBe(before)
    time += 100_000
    upstream.project(project, [file(`${project}-1.0.zip`, small)])
    expect(await (await server.fetch(url)).text()).toBe(project)
  })

  test('a large file that turns out wrong breaks off before its end for everybody', async () => {
    const content = randomBytes(2_000_000)
    upstream.project('liar', [file('liar-1.0.zip', content)])
    const url = await urlOf('liar')
    const before = await blobCount()
    upstream.on('/files/liar/liar-1.0.zip', (_request, response) => void response.writeHead(200, { 'content-length': content.length }).end(Buffer.concat([content.subarray(0, -1), Buffer.from([content.at(-1)! ^ 1])])))
    const replies = await Promise.all([1, 2, 3].map(() => server.fetch(url).then((reply) => reply.arrayBuffer()).then(() => 'whole', () => 'broken')))
    expect(replies).toEqual(['broken', 'broken', 'broken'])
    expect(await (await server.fetch('/+metrics')).text()).toMatch(/^devpi_mirror_downloads_failed_total [1-9]/m)
    expect(await blobCount()).toBe(before)
  })

  test('without a digest the first download finds it, and pages have it from then on', async () => {
    upstream.on('/simple/plain/', text('<a href="plain-1.0.zip">x</a>'))
    upstream.on('/simple/plain/plain-1.0.zip', (_request, response) => void response.end('content'))
    const url = await urlOf('plain')
    expect((await page('plain')).files[0]).toMatchObject({ hashes: {} })
    expect(await (await server.fetch(url)).text()).toBe('content')
    expect((await page('plain')).files[0]).toMatchObject({ hashes: { sha256: sha256Of(Buffer.from('content')) }, size: 7 })
    time += 101_000
    expect(await urlOf('plain')).toBe(url)
    expect((await server.fetch(url)).status).toBe(200)
    expect(upstream.count('/simple/plain/plain-1.0.zip')).toBe(1)
  })

  test('the sweep leaves what a mirror has', async () => {
    upstream.project('swept', [file('swept-1.0.zip')])
    const url = await urlOf('swept')
    await (await server.fetch(url)).arrayBuffer()
    const { storage, blobs } = server.running
    const later = (): number => Date.now() + 1e10
    await sweepOnce({ storage, blobs, undoWindowMs: 0, now: later })
    expect(await (await server.fetch(url)).text()).toBe('swept-1.0.zip')
    expect(upstream.count('/files/swept/swept-1.0.zip')).toBe(1)
    expect((await (await server.root()).delete('/alice/mirror/swept')).status).toBe(200)
    expect((await server.fetch(url)).status).toBe(404)
    await sweepOnce({ storage, blobs, undoWindowMs: 0, now: later })
    expect(await blobs.stat(sha256Of(Buffer.from('swept-1.0.zip')))).toBeUndefined()
  })

  test('core metadata is passed through and checked', async () => {
    const metadata = 'Metadata-Version: 2.1\n'
    const name = 'meta-1.0-py3-none-any.whl'
    upstream.project('meta', [file(name, 'wheel', { 'core-metadata': { sha256: sha256Of(Buffer.from(metadata)) } })])
    upstream.on(`/files/meta/${name}.metadata`, (_request, response) => void response.end(metadata))
    expect((await page('meta')).files[0]).toMatchObject({ 'core-metadata': { sha256: sha256Of(Buffer.from(metadata)) } })
    expect(await (await server.fetch(`${await urlOf('meta')}.metadata`)).text()).toBe(metadata)
  })

  test('a file link into a private network is not followed', async () => {
    upstream.project('inner', [file('inner-1.0.zip', 'x', { url: 'http://127.0.0.9/inner-1.0.zip' })])
    const reply = await server.fetch(await urlOf('inner'))
    expect([reply.status, await reply.text()]).toEqual([502, expect.stringContaining('private network')])
  })

  test('who may not read the mirror gets neither page nor file', async () => {
    upstream.project('closed', [file('closed-1.0.zip')])
    await alice.put('/alice/closed', { type: 'mirror', mirror_url: upstream.url, acl_read: ['alice'] })
    await alice.get('/alice/closed/+simple/closed/')
    const url = (await urlOf('closed')).replace('/alice/mirror/', '/alice/closed/')
    expect((await alice.get(url, {})).status).toBe(200)
    expect((await server.fetch(url)).status).toBe(401)
    expect((await server.fetch('/alice/closed/+simple/closed/')).status).toBe(401)
  })
})

test('credentials of an upstream go there, not to another host of a file, and stand nowhere', async () => {
  const elsewhere = await TestUpstream.start()
  elsewhere.on('/f/cred-1.0.zip', (_request, response) => void response.end('c'))
  upstream.project('cred', [file('cred-1.0.zip', 'c', { url: `${elsewhere.origin}/f/cred-1.0.zip` })])
  await alice.put('/alice/paid', { type: 'mirror', mirror_url: upstream.url.replace('//', '//bob:s3cret@') })
  expect((await page('cred', 'alice/paid')).files).toHaveLength(1)
  expect(upstream.asked.at(-1)?.headers.authorization).toBe(`Basic ${Buffer.from('bob:s3cret').toString('base64')}`)
  const url = (await urlOf('cred')).replace('/alice/mirror/', '/alice/paid/')
  expect((await server.fetch(url)).status).toBe(200)
  expect(elsewhere.asked.map(({ headers }) => headers.authorization)).toEqual([undefined])
  expect(server.log.join('')).not.toContain('s3cret')
  await elsewhere[Symbol.asyncDispose]()
})

test('refresh asks again at once, and keeps what is known when the upstream fails', async () => {
  upstream.project('renew', [file('renew-1.0.zip')])
  await page('renew')
  upstream.project('renew', [file('renew-1.0.zip'), file('renew-2.0.zip')])
  expect((await server.fetch('/alice/child/+simple/renew/refresh', { method: 'POST' })).status).toBe(302)
  expect(await names('renew')).toHaveLength(2)
  upstream.on('/simple/renew/', status(500))
  expect((await server.fetch('/alice/child/+simple/renew/refresh', { method: 'POST' })).status).toBe(502)
  expect(await names('renew')).toHaveLength(2)
})

test('after a restart the page is revalidated, not fetched; without its upstream it and its files are served', async () => {
  const own = await TestUpstream.start()
  own.project('kept', [file('kept-1.0.zip')])
  await using first = await startServer({ config: CONFIG, now })
  const bob = await first.signUp('bob', { mirror: { type: 'mirror', mirror_url: own.url, mirror_cache_expiry: 0 } })
  const [known] = (await page('kept', 'bob/mirror', first)).files
  const path = new URL(known?.url ?? '', `${first.url}/bob/mirror/+simple/kept/`).pathname
  expect((await bob.get(path, {})).status).toBe(200)
  await first.stop()
  await using second = await startServer({ config: CONFIG, now, serverDir: first.serverDir })
  expect((await page('kept', 'bob/mirror', second)).files).toHaveLength(1)
  expect(own.asked.at(-1)?.headers['if-none-match']).toMatch(/^"/)
  await own[Symbol.asyncDispose]()
  expect((await page('kept', 'bob/mirror', second)).files).toHaveLength(1)
  expect(await (await second.fetch(path)).text()).toBe('kept-1.0.zip')
  expect((await page('unknown', 'bob/mirror', second)).status).toBe(502)
})
