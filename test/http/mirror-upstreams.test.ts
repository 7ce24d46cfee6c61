import { gzipSync } from 'node:zlib'
import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { type Answer, redirect, sha256Of, SIMPLE_JSON, status, TestUpstream, text, truncated } from '#test/support/upstream.js'

const CONFIG = { privateUpstreams: ['127.0.0.1'] }
const CONTENT = Buffer.from('the content of a release')
const SHA256 = sha256Of(CONTENT)

let upstream: TestUpstream
let server: TestServer
let alice: TestUser
let time = Date.parse('2026-01-02T03:04:05Z')

beforeAll(async () => {
  upstream = await TestUpstream.start()
  server = await startServer({ config: CONFIG, now: () => time, upstreamTimeoutMs: 2000 })
  alice = await server.signUp('alice', {
    mirror: { type: 'mirror', mirror_url: upstream.url, mirror_cache_expiry: 100 },
    child: { bases: ['alice/mirror'] },
  })
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})
/** Past every freshness and every pause of an upstream that failed. */
beforeEach(() => { time += 1_000_000 })

interface File {
  readonly filename: string
  readonly url: string
  readonly hashes: Readonly<Record<string, string>>
}

async function filesOf(project: string, index = 'alice/child'): Promise<readonly File[]> {
  const reply = await server.fetch(`/${index}/+simple/${project}/`, { headers: { accept: SIMPLE_JSON } })
  const body = await reply.text()
  if (reply.status !== 200) throw new Error(`${reply.status}: ${body}`)
  return (JSON.parse(body) as { files: File[] }).files
}

/** The content of a file of the project, as an installer gets it. */
async function contentOf(project: string, filename: string, index?: string): Promise<Buffer> {
  const file = (await filesOf(project, index)).find((found) => found.filename === filename)
  const reply = await server.fetch(new URL(file?.url ?? '', `${server.url}/${index ?? 'alice/child'}/+simple/${project}/`).pathname)
  expect(reply.status).toBe(200)
  return Buffer.from(await reply.arrayBuffer())
}

function json(project: string, url = `/files/${project}-1.0.zip`): string {
  const files = [{ filename: `${project}-1.0.zip`, url, hashes: { sha256: SHA256 } }]
  return JSON.stringify({ meta: { 'api-version': '1.0' }, name: project, files })
}

function html(project: string, url = `/files/${project}-1.0.zip`): string {
  return `<!DOCTYPE html><html><body><a href="${url}#sha256=${SHA256}">${project}-1.0.zip</a></body></html>`
}

/** Sends a body in pieces, each when the one before has left. */
function inPieces(body: Buffer, headers: Readonly<Record<string, string>>): Answer {
  return async (_request, response) => {
    response.writeHead(200, headers)
    for (let at = 0; at < body.length; at += 7) await new Promise((resolve) => response.write(body.subarray(at, at + 7), resolve))
    response.end()
  }
}

/** Ways in which an upstream may offer one file, `{project}-1.0.zip`, and nothing else that is one. */
const SPELLINGS: readonly (readonly [string, (project: string) => Answer])[] = [
  ['JSON with a charset', (project) => text(json(project), { contentType: `${SIMPLE_JSON};charset=utf-8` })],
  ['JSON in capitals, with spaces', (project) => text(json(project), { contentType: `${SIMPLE_JSON.toUpperCase()} ; Charset="UTF-8"` })],
  ['JSON in pieces', (project) => inPieces(Buffer.from(json(project)), { 'content-type': SIMPLE_JSON })],
  ['JSON, packed', (project) => (_request, response) => void response.writeHead(200, { 'content-type': SIMPLE_JSON, 'content-encoding': 'gzip' }).end(gzipSync(json(project)))],
  ['HTML with a charset', (project) => text(html(project), { contentType: 'text/html; charset=utf-8' })],
  ['HTML as version 1', (project) => text(html(project), { contentType: 'application/vnd.pypi.simple.v1+html' })],
  ['HTML of no type', (project) => (_request, response) => void response.end(html(project))],
  ['HTML called text', (project) => text(html(project), { contentType: 'text/plain' })],
  ['HTML with links to other schemes', (project) => text(`<a href="ftp://127.0.0.1/${project}-2.0.zip">x</a><a href="data:,${project}-3.0.zip">y</a>${html(project)}`)],
  ['hostile HTML: nested too deep', (project) => text(`${'<div>'.repeat(50_000)}${html(project)}`)],
  ['hostile HTML: attributes without end', (project) => text(`<a ${'x="'.repeat(20_000)}>${'&lt;'.repeat(1000)}</a>" ${html(project)}`)],
  ['hostile HTML: a base that is a script', (project) => text(`<base href="javascript:alert(1)//">${html(project)}`)],
  ['hostile HTML: control characters, other hosts with credentials', (project) => text(`\0<a href="http://a:b@127.0.0.1:1/\x01${project}-9.zip">\0</a>${html(project)}<a href="//[::1">x</a><a href="http://">y</a>`)],
  ['hostile names', (project) => text(`<a href="/files/..%2f..%2f${project}-2.0.zip">x</a><a href="/files/${project}-3.0%00.zip">x</a><a href="/files/${project}-%0d%0aSet-Cookie:x-4.0.zip">x</a>${html(project)}`)],
]
test.each(SPELLINGS)('a file offered in %s is found, and can be had', async (name, spelling) => {
  const project = `s${sha256Of(Buffer.from(name)).slice(0, 8)}`
  upstream.on(`/simple/${project}/`, spelling(project))
  upstream.on(`/files/${project}-1.0.zip`, (_request, response) => void response.end(CONTENT))
  expect((await filesOf(project)).map(({ filename }) => filename)).toEqual([`${project}-1.0.zip`])
  expect(await contentOf(project, `${project}-1.0.zip`)).toEqual(CONTENT)
})

test('links of a page behind a redirect are relative to where it led, and a file may be behind one, too', async () => {
  upstream.on('/simple/moved/', redirect('/elsewhere/moved/page/'))
  upstream.on('/elsewhere/moved/page/', text(html('moved', '../files/moved-1.0.zip')))
  upstream.on('/elsewhere/moved/files/moved-1.0.zip', redirect('/store/1'))
  upstream.on('/store/1', (_request, response) => void response.end(CONTENT))
  expect(await contentOf('moved', 'moved-1.0.zip')).toEqual(CONTENT)
})

test('a folder served as it is, with the list of what is in it', async () => {
  const names = ['folder-1.0.tar.gz', 'folder-1.0+local.1-py3-none-any.whl', 'README.html', 'folder-1.0.tar.gz.asc']
  const listing = names.map((name) => `<tr><td><a href="${encodeURIComponent(name)}">${name.slice(0, 12)}..&gt;</a></td><td>2024-01-02 03:04</td></tr>`)
  upstream.on('/simple/folder/', text(`<html><head><title>Index of /simple/folder/</title></head><body><h1>Index of</h1><table>
    <tr><th><a href="?C=N;O=D">Name</a></th></tr><tr><td><a href="../">Parent Directory</a></td></tr>${listing.join('\n')}</table></body></html>`, { contentType: 'text/html;charset=UTF-8' }))
  for (const name of names) upstream.on(`/simple/folder/${encodeURIComponent(name)}`, (_request, response) => void response.end(name))
  expect((await filesOf('folder')).map(({ filename, hashes }) => [filename, hashes])).toEqual([[names[1], {}], [names[0], {}]].sort())
  for (const name of names.slice(0, 2)) expect((await contentOf('folder', name)).toString()).toBe(name)
  expect((await filesOf('folder')).map(({ filename, hashes }) => [filename, hashes]).sort()).toEqual(
    names.slice(0, 2).map((name) => [name, { sha256: sha256Of(Buffer.from(name)) }]).sort(),
  )
})

test('another server of ours: pages, metadata, yanked files and what is removed there', async () => {
  await using other = await startServer()
  const bob = await other.signUp('bob', { dev: {} })
  const [old, recent] = [wheel('ours', '1.0'), wheel('ours', '2.0')]
  for (const file of [old, recent]) await bob.upload('dev', file)
  await alice.put('/alice/second', { type: 'mirror', mirror_url: `${other.url}/bob/dev/+simple/`, mirror_cache_expiry: 100 })
  await alice.put('/alice/over', { bases: ['alice/second'] })
  const ask = async (): Promise<unknown> => (await server.fetch('/alice/over/+simple/ours/', { headers: { accept: SIMPLE_JSON } })).json()
  const there = (await (await other.fetch('/bob/dev/+simple/ours/', { headers: { accept: SIMPLE_JSON } })).json()) as { files: Record<string, unknown>[] }
  expect(there.files).toHaveLength(2)
  const told = there.files.map(({ url: _, ...file }) => expect.objectContaining({ ...file, url: expect.any(String) as string }) as unknown)
  expect(await ask()).toMatchObject({ files: told, versions: ['1.0', '2.0'] })
  expect(await contentOf('ours', old.filename, 'alice/over')).toEqual(old.bytes)
  const page = await filesOf('ours', 'alice/over')
  const metadata = async (from: TestServer, index: string, file: File | undefined): Promise<string> =>
    (await from.fetch(`${new URL(file?.url ?? '', `${from.url}/${index}/+simple/ours/`).pathname}.metadata`)).text()
  expect(await metadata(server, 'alice/over', page[0])).toBe(await metadata(other, 'bob/dev', there.files[0] as unknown as File))
  expect((await bob.delete('/bob/dev/ours/2.0')).status).toBe(200)
  time += 101_000
  expect(await ask()).toMatchObject({ versions: ['1.0'] })
})

test('a page of 20,000 files comes whole, through several askers at once', async () => {
  const files = Array.from({ length: 20_000 }, (_, at) => ({ filename: `wide-${at}.0.zip`, url: `/files/wide-${at}.0.zip`, hashes: { sha256: sha256Of(Buffer.from(String(at))) } }))
  upstream.on('/simple/wide/', text(JSON.stringify({ meta: { 'api-version': '1.4' }, name: 'wide', versions: [], files }), { contentType: SIMPLE_JSON }))
  await filesOf('wide').catch(() => undefined) // on a busy machine longer than anybody waits
  for (let tries = 0; tries < 20; tries += 1) {
    const replies = await Promise.all([1, 2, 3].map(() => server.fetch('/alice/child/+simple/wide/', { headers: { accept: SIMPLE_JSON } })))
    const found = await Promise.all(replies.map(async (reply) => (reply.status === 200 ? ((await reply.json()) as { files: File[] }).files.length : reply.status)))
    if (found.every((count) => count !== 502)) expect(found).toEqual([20_000, 20_000, 20_000])
    if (found.every((count) => count !== 502)) break
  }
  expect(upstream.count('/simple/wide/')).toBe(1)
}, 60_000)

describe('what is said of a project', () => {
  const named = (project: string): Answer => text(json(project), { contentType: SIMPLE_JSON })
  const empty = (project: string): Answer => text(JSON.stringify({ meta: { 'api-version': '1.1' }, name: project, versions: [], files: [] }), { contentType: SIMPLE_JSON })

  /** By what the upstream says: the status of the page, on the mirror as on its child. */
  const STATUSES: readonly (readonly [string, (project: string) => Answer, number])[] = [
    ['links', named, 200],
    ['known, no links', empty, 200],
    ['not found', () => status(404), 404],
    ['gone', () => status(410), 404],
    ['forbidden', () => status(403), 502],
    ['an error', () => status(500), 502],
    ['unavailable for a while', () => status(503, { 'retry-after': '3' }), 502],
    ['too many requests', () => status(429, { 'retry-after': '3' }), 502],
    ['too many requests, until a date', () => status(429, { 'retry-after': 'Fri, 02 Jan 2099 00:00:00 GMT' }), 502],
    ['half a page', () => truncated(Buffer.from('<a'), 99), 502],
    ['a page in another version', () => text('{"meta":{"api-version":"2.0"}}', { contentType: SIMPLE_JSON }), 502],
    ['not modified, to who knows nothing', () => status(304), 502],
    ['a redirect to itself', (project) => redirect(`/simple/${project}/`), 502],
  ]
  test.each(STATUSES)('%s', async (name, answer, wanted) => {
    const project = `t${sha256Of(Buffer.from(name)).slice(0, 8)}`
    upstream.on(`/simple/${project}/`, answer(project))
    const found: number[] = []
    for (const index of ['alice/mirror', 'alice/child']) {
      for (const accept of [SIMPLE_JSON, 'text/html']) {
        time += 200_000
        const reply = await server.fetch(`/${index}/+simple/${project}/`, { headers: { accept } })
        found.push(reply.status)
        if (reply.status === 502) expect(await reply.text()).toMatch(/upstream|127\.0\.0\.1/)
      }
    }
    expect(found).toEqual([wanted, wanted, wanted, wanted])
  })
})

describe('a file that is not stored yet', () => {
  /** Headers of a request for `the … release`, of 24 bytes, and what comes of it; `ETAG` and `all` stand for its own. */
  const REQUESTS: readonly (readonly [string, Readonly<Record<string, string>>, number, string | undefined, string])[] = [
    ['nothing', {}, 200, undefined, 'all'],
    ['its start', { range: 'bytes=0-2' }, 206, 'bytes 0-2/24', 'the'],
    ['its end', { range: 'bytes=-7' }, 206, 'bytes 17-23/24', 'release'],
    ['its last byte', { range: 'bytes=23-' }, 206, 'bytes 23-23/24', 'e'],
    ['more than there is', { range: 'bytes=20-99' }, 206, 'bytes 20-23/24', 'ease'],
    ['what is behind its end', { range: 'bytes=24-' }, 416, 'bytes */24', ''],
    ['several parts', { range: 'bytes=0-1,4-5' }, 200, undefined, 'all'],
    ['nonsense', { range: 'lines=1-2' }, 200, undefined, 'all'],
    ['a part of what it is', { range: 'bytes=0-2', 'if-range': 'ETAG' }, 206, 'bytes 0-2/24', 'the'],
    ['a part of what it was', { range: 'bytes=0-2', 'if-range': '"other"' }, 200, undefined, 'all'],
    ['what is known', { 'if-none-match': 'ETAG' }, 304, undefined, ''],
  ]
  test.each(REQUESTS)('asked for %s, cold and warm alike', async (name, headers, wanted, contentRange, body) => {
    const project = `r${sha256Of(Buffer.from(name)).slice(0, 11)}`
    const content = Buffer.from(`the ${project} release`)
    const etag = `"${sha256Of(content)}"`
    upstream.project(project, [{ filename: `${project}-1.0.zip`, content }])
    const [file] = await filesOf(project)
    const path = new URL(file?.url ?? '', `${server.url}/alice/child/+simple/${project}/`).pathname
    const own = Object.fromEntries(Object.entries(headers).map(([header, value]) => [header, value === 'ETAG' ? etag : value]))
    const ask = async (): Promise<unknown[]> => {
      const reply = await server.fetch(path, { headers: own })
      const found = await reply.text()
      return [reply.status, reply.headers.get('content-range') ?? undefined, reply.status === 416 ? '' : found]
    }
    const head = await server.fetch(path, { method: 'HEAD' })
    expect([head.status, head.headers.get('content-length'), head.headers.get('accept-ranges'), head.headers.get('etag')]).toEqual([200, '24', 'bytes', etag])
    expect(upstream.count(`/files/${project}/${project}-1.0.zip`)).toBe(0)
    const all = [wanted, contentRange, body === 'all' ? content.toString() : body]
    expect(await ask()).toEqual(all)
    await (await server.fetch(path)).arrayBuffer()
    expect(await ask()).toEqual(all)
    expect(upstream.count(`/files/${project}/${project}-1.0.zip`)).toBe(1)
  })

  test('comes to who waits for it as slowly as it comes', async () => {
    const content = Buffer.alloc(100_000, 'slow')
    upstream.project('slow', [{ filename: 'slow-1.0.zip', content }])
    let hasSome = false
    upstream.on('/files/slow/slow-1.0.zip', async (_request, response) => {
      response.writeHead(200, { 'content-length': content.length })
      let sent = 0
      while (!hasSome && sent < 50_000) {
        await new Promise((resolve) => response.write(content.subarray(sent, sent + 500), () => setTimeout(resolve, 10)))
        sent += 500
      }
      response.end(hasSome ? content.subarray(sent) : undefined)
    })
    const [file] = await filesOf('slow')
    const reply = await server.fetch(new URL(file?.url ?? '', `${server.url}/alice/child/+simple/slow/`).pathname)
    const chunks: Uint8Array[] = []
    for await (const chunk of reply.body!) {
      hasSome = true
      chunks.push(chunk as Uint8Array)
    }
    expect(Buffer.concat(chunks).equals(content)).toBe(true)
  })
})
