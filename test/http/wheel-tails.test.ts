import { type ReleaseFile, sdist, wheel } from '#test/support/archives.js'
import { caughtUp, startReplica, until } from '#test/support/replica.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { type Answer, ranged, redirect, sha256Of, SIMPLE_JSON, status, TestUpstream, text } from '#test/support/upstream.js'
import { zip } from '#test/support/zip-builder.js'

let upstream: TestUpstream
let server: TestServer
let alice: TestUser
let time = Date.parse('2026-01-02T03:04:05Z')

beforeAll(async () => {
  upstream = await TestUpstream.start()
  server = await startServer({ config: { privateUpstreams: ['127.0.0.1', 'localhost'] }, now: () => time })
  alice = await server.signUp('alice', { mirror: { type: 'mirror', mirror_url: upstream.url, mirror_cache_expiry: 100 } })
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

const WIDE = 400_000

function metadataText(project: string, about = ''): string {
  return `Metadata-Version: 2.1\nName: ${project}\nVersion: 1.0\nSummary: ${about}\nRequires-Dist: six>=1\n`
}

/** A wheel with far more in it than its metadata. */
function wide(project: string, options: { readonly about?: string; readonly of?: string } = {}): ReleaseFile {
  const { filename } = wheel(project, '1.0')
  return { ...wheel(options.of ?? project, '1.0', { padding: WIDE, metadataText: metadataText(options.of ?? project, options.about) }), filename }
}

const pathOf = (project: string, { filename }: ReleaseFile): string => `/files/${project}/${filename}`

/** The upstream has one file of the project, and answers so for it. */
function offer(project: string, file: ReleaseFile, answer: Answer = ranged(file.bytes), fields: object = {}): void {
  upstream.project(project, [{ filename: file.filename, content: file.bytes, fields: { ...fields } }])
  upstream.on(pathOf(project, file), answer)
}

interface Listed {
  readonly url: string
  readonly 'core-metadata'?: unknown
}

async function listed(project: string): Promise<{ readonly path: string; readonly stated: unknown }> {
  time += 200_000
  const page = `${server.url}/alice/mirror/+simple/${project}/`
  const { files: [file] } = (await (await fetch(page, { headers: { accept: SIMPLE_JSON } })).json()) as { files: Listed[] }
  return { path: new URL(file?.url ?? '', page).pathname, stated: file?.['core-metadata'] }
}

/** Ranges for which the upstream was asked of a file; `all` for all of it. */
function rangesOf(project: string, file: ReleaseFile): string[] {
  return upstream.asked.filter(({ path }) => path === pathOf(project, file)).map(({ headers }) => headers.range ?? 'all')
}

describe('metadata of which the upstream states no digest', () => {
  test('comes out of the tail of the wheel, once for all who ask, and adds nothing to the log', async () => {
    const file = wide('tail')
    offer('tail', file, ranged(file.bytes), { 'core-metadata': true })
    const { path, stated } = await listed('tail')
    expect(stated).toBe(true)
    const html = await (await server.fetch('/alice/mirror/+simple/tail/', { headers: { accept: 'text/html' } })).text()
    expect(html).toContain('data-core-metadata="true"')
    const head = server.head()
    const replies = await Promise.all(Array.from({ length: 20 }, () => server.fetch(`${path}.metadata`)))
    for (const reply of replies) {
      expect([reply.status, reply.headers.get('cache-control'), await reply.text()]).toEqual([200, 'no-store', metadataText('tail')])
    }
    expect(rangesOf('tail', file)).toEqual(['bytes=-65536'])
    const length = (await server.fetch(`${path}.metadata`, { method: 'HEAD' })).headers.get('content-length')
    expect([length, server.head(), rangesOf('tail', file).length]).toEqual([String(metadataText('tail').length), head, 1])
  })

  test('comes out of the wheel itself as soon as that is stored, whatever its tail was', async () => {
    const file = wide('stored')
    const lying = wide('stored', { about: 'lies' })
    offer('stored', file, (request, response) => ranged(request.headers.range === undefined ? file.bytes : lying.bytes)(request, response), { size: undefined })
    const { path } = await listed('stored')
    expect(await (await server.fetch(`${path}.metadata`)).text()).toBe(metadataText('stored', 'lies'))
    expect(sha256Of(Buffer.from(await (await server.fetch(path)).arrayBuffer()))).toBe(sha256Of(file.bytes))
    let reply = await server.fetch(`${path}.metadata`)
    for (let tries = 0; tries < 200 && reply.headers.get('cache-control') === 'no-store'; tries += 1) {
      await reply.arrayBuffer() // who has the last byte of a file has it a moment before the store
      reply = await server.fetch(`${path}.metadata`)
    }
    expect([reply.headers.get('cache-control'), await reply.text()]).toEqual([expect.stringContaining('immutable'), metadataText('stored')])
  })

  test('is found wherever it lies in the wheel', async () => {
    const bytes = zip([
      { name: 'front-1.0.dist-info/METADATA', bytes: Buffer.from(metadataText('front')) },
      { name: 'front/data.bin', bytes: Buffer.alloc(WIDE, 'x'), stored: true },
    ])
    const file = { ...wheel('front', '1.0'), bytes }
    offer('front', file)
    const { path } = await listed('front')
    expect(await (await server.fetch(`${path}.metadata`)).text()).toBe(metadataText('front'))
    expect(rangesOf('front', file)).toEqual(['bytes=-65536', 'bytes=0-16383'])
    expect(upstream.asked.filter(({ path: asked }) => asked === pathOf('front', file)).map(({ headers }) => headers['if-range'])).toEqual([undefined, '"1"'])
  })
})

describe('a wheel is fetched whole, checked and stored first', () => {
  const part = (content: Buffer, range: string, headers: object = {}): Answer => (request, response) => {
    if (request.headers.range === undefined) return ranged(content)(request, response)
    response.writeHead(206, { 'content-range': range, ...headers }).end(content.subarray(-65_536))
  }
  const CASES: readonly (readonly [string, (file: ReleaseFile) => Answer])[] = [
    ['from a server without ranges', ({ bytes }) => (_request, response) => void response.writeHead(200, { 'content-length': bytes.length }).end(bytes)],
    ['from one that fails for them', ({ bytes }) => (request, response) => (request.headers.range === undefined ? ranged(bytes) : status(416))(request, response)],
    ['from one with another size than announced', ({ bytes }) => part(bytes, `bytes ${bytes.length - 65_535}-${bytes.length}/${bytes.length + 1}`)],
    ['from one that gives another part', ({ bytes }) => part(bytes, `bytes 0-65535/${bytes.length}`)],
    ['from one that gives more than it says', ({ bytes }) => part(bytes, `bytes ${bytes.length - 10}-${bytes.length - 1}/${bytes.length}`)],
    ['from one with a nonsense of a range', ({ bytes }) => part(bytes, 'bytes 9-1/x')],
    ['from one that packs parts', ({ bytes }) => part(bytes, `bytes ${bytes.length - 65_536}-${bytes.length - 1}/${bytes.length}`, { 'content-encoding': 'gzip' })],
    ['from one that breaks off', ({ bytes }) => (request, response) => {
      if (request.headers.range === undefined) return ranged(bytes)(request, response)
      response.writeHead(206, { 'content-length': 65_536, 'content-range': `bytes ${bytes.length - 65_536}-${bytes.length - 1}/${bytes.length}` })
      response.write(bytes.subarray(-100), () => response.destroy())
    }],
    ['from one whose tail is that of another project', ({ bytes }) => (request, response) => ranged(request.headers.range === undefined ? bytes : wide('others', { about: 'xx' }).bytes)(request, response)],
    ['from one whose tail is no archive', ({ bytes }) => (request, response) => ranged(request.headers.range === undefined ? bytes : Buffer.alloc(bytes.length, 'x'))(request, response)],
    ['from one that leads to another place', ({ bytes, filename }) => {
      upstream.on(`/elsewhere/${filename}`, ranged(bytes))
      return redirect(`${upstream.origin.replace('127.0.0.1', 'localhost')}/elsewhere/${filename}`)
    }],
  ]
  test.each(CASES)('%s', async (name, answer) => {
    const project = `w${sha256Of(Buffer.from(name)).slice(0, 8)}`
    const file = wide(project)
    offer(project, file, answer(file))
    const { path, stated } = await listed(project)
    expect(stated).toBe(true)
    const replies = await Promise.all([1, 2, 3].map(() => server.fetch(`${path}.metadata`)))
    for (const reply of replies) expect([reply.status, await reply.text()]).toEqual([200, metadataText(project)])
    expect(replies[0]?.headers.get('cache-control')).toContain('immutable')
    expect(rangesOf(project, file).filter((range) => range === 'all').length).toBeLessThanOrEqual(1)
    upstream.on(pathOf(project, file), status(500))
    expect(sha256Of(Buffer.from(await (await server.fetch(path)).arrayBuffer()))).toBe(sha256Of(file.bytes))
  })
})

describe('of a wheel at another place than its upstream', () => {
  async function far(project: string, answer: (file: ReleaseFile) => Answer, host = '127.0.0.1'): Promise<AsyncDisposable & { readonly path: string; readonly file: ReleaseFile; readonly elsewhere: TestUpstream }> {
    const elsewhere = await TestUpstream.start()
    const file = wide(project)
    elsewhere.on(`/${file.filename}`, answer(file))
    offer(project, file, status(500), { url: `${elsewhere.origin.replace('127.0.0.1', host)}/${file.filename}` })
    const { path, stated } = await listed(project)
    expect(stated).toBe(true)
    return { path, file, elsewhere, [Symbol.asyncDispose]: () => elsewhere[Symbol.asyncDispose]() }
  }

  test('metadata comes out of the whole wheel, never out of its tail: who has only the file could lie about that', async () => {
    await using found = await far('away', ({ bytes }) => ranged(bytes))
    const replies = await Promise.all([1, 2, 3].map(() => server.fetch(`${found.path}.metadata`)))
    for (const reply of replies) {
      expect([reply.status, reply.headers.get('cache-control'), await reply.text()]).toEqual([200, expect.stringContaining('immutable'), metadataText('away')])
    }
    expect(sha256Of(Buffer.from(await (await server.fetch(found.path)).arrayBuffer()))).toBe(sha256Of(found.file.bytes))
    expect(found.elsewhere.asked.map(({ method, headers }) => [method, headers.range])).toEqual([['GET', undefined]])
  })

  test('no metadata comes out of one that is another than announced', async () => {
    await using found = await far('forged', () => ranged(wide('forged', { about: 'lies' }).bytes))
    const reply = await server.fetch(`${found.path}.metadata`)
    expect([reply.status, await reply.text()]).toEqual([502, expect.not.stringContaining('lies')])
  })

  test('a host that must not be asked for the file is not asked for its metadata', async () => {
    await using found = await far('walled', ({ bytes }) => ranged(bytes), '127.0.0.2')
    expect([(await server.fetch(`${found.path}.metadata`)).status, (await server.fetch(found.path)).status, found.elsewhere.asked]).toEqual([502, 502, []])
  })
})

test('while a wheel takes longer than somebody waits, it is said when to ask again, and then the metadata is there', async () => {
  await using impatient = await startServer({ config: { privateUpstreams: ['127.0.0.1'] }, metadataWaitMs: 1 })
  const bob = await impatient.signUp('bob', { mirror: { type: 'mirror', mirror_url: upstream.url } })
  await using replica = await startReplica(impatient)
  await caughtUp(replica, impatient)
  const file = wide('slow')
  let goOn = (): void => undefined
  const told = new Promise<void>((resolve) => { goOn = resolve })
  offer('slow', file, async (_request, response) => {
    response.writeHead(200, { 'content-length': file.bytes.length }).write(file.bytes.subarray(0, 300_000))
    await told
    response.end(file.bytes.subarray(300_000))
  })
  const page = '/bob/mirror/+simple/slow/'
  const { files: [listing] } = (await (await bob.get(page, { accept: SIMPLE_JSON })).json()) as { files: Listed[] }
  const path = `${new URL(listing?.url ?? '', impatient.url + page).pathname}.metadata`
  await caughtUp(replica, impatient)
  for (const node of [impatient, replica, impatient]) {
    const reply = await node.fetch(path)
    expect([reply.status, reply.headers.get('retry-after')]).toEqual([503, expect.stringMatching(/^[1-9]\d{0,2}$/)])
  }
  expect((await replica.fetch(page)).status).toBe(200) // the primary is not taken for one that is away
  goOn()
  for (const node of [impatient, replica]) await until(async () => (await node.fetch(path)).status === 200)
  expect(await (await replica.fetch(path)).text()).toBe(metadataText('slow'))
  expect(rangesOf('slow', file).filter((range) => range === 'all')).toHaveLength(1)
})

describe('metadata is not offered', () => {
  const LARGE = 5 * 2 ** 20 + 1
  test.each([['large', LARGE], ['of unknown size', undefined]])('of a wheel at another place than its upstream that is %s', async (name, size) => {
    await using elsewhere = await TestUpstream.start()
    const project = `far-${sha256Of(Buffer.from(name)).slice(0, 8)}`
    const file = wide(project)
    offer(project, file, status(500), { url: `${elsewhere.origin}/${file.filename}`, size })
    const { path, stated } = await listed(project)
    expect([stated, (await server.fetch(`${path}.metadata`)).status, elsewhere.asked]).toEqual([undefined, 404, []])
  })

  test('of an sdist', async () => {
    const file = sdist('source', '1.0')
    offer('source', file)
    const { path, stated } = await listed('source')
    expect([stated, (await server.fetch(`${path}.metadata`)).status]).toEqual([undefined, 404])
  })

  test('of a wheel out of which it could not be read, which stays what it is', async () => {
    const file = { ...wheel('broken', '1.0'), bytes: Buffer.from('no archive at all') }
    offer('broken', file)
    const { path, stated } = await listed('broken')
    const before = server.head()
    expect([stated, (await server.fetch(`${path}.metadata`)).status]).toEqual([true, 404])
    expect(server.head()).toBe(before + 1)
    upstream.on('/simple/broken/', text(JSON.stringify({ meta: { 'api-version': '1.0' }, name: 'broken', files: [{ filename: file.filename, url: pathOf('broken', file), hashes: { sha256: sha256Of(file.bytes) }, size: 17, yanked: 'it is' }] }), { contentType: SIMPLE_JSON }))
    expect((await listed('broken')).stated).toBeUndefined()
    const asked = upstream.asked.length
    expect([(await server.fetch(`${path}.metadata`)).status, upstream.asked.length]).toEqual([404, asked])
    expect(await (await server.fetch(path)).text()).toBe('no archive at all')
  })

  test('while a policy hides the wheel, and its upstream is not asked', async () => {
    const file = wide('hidden')
    offer('hidden', file)
    const { path } = await listed('hidden')
    await alice.patch('/alice/mirror', { constraints: ['!hidden'] })
    expect((await server.fetch(`${path}.metadata`)).status).toBe(403)
    await alice.patch('/alice/mirror', { constraints: null })
    expect(rangesOf('hidden', file)).toEqual([])
  })
})
