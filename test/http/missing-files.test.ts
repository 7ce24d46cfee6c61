import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createApp } from '#server/http/app.js'
import type { Deps } from '#server/http/deps.js'
import { DocsArchives } from '#server/http/docs-archives.js'
import { fetchedBlobs } from '#server/http/fetched-blobs.js'
import { createListener } from '#server/http/listener.js'
import { BlobFetches } from '#server/replication/blob-fetches.js'
import { BlobSources } from '#server/replication/blob-sources.js'
import { PartialBlobs } from '#server/storage/partial-blobs.js'
import { type ReleaseFile, wheel } from '#test/support/archives.js'
import { docsUpload, pages } from '#test/support/docs.js'
import { uploadForm, type UploadInput } from '#test/support/upload-form.js'
import { zip } from '#test/support/zip-builder.js'
import { type FakeNode, fakeNode, sendContent, sha256Of } from '../replication/blob-replica.js'
import { filePathOf, startUploadServer, type UploadServer } from './upload-server.js'

/** A server that lost its contents, and another node that has them. */
let uploads: UploadServer
let node: FakeNode
let fetches: BlobFetches
let server: Server
let url: string
let sources: BlobSources
let docs: DocsArchives
const contents = new Map<string, Buffer>()
/** How the other node answers; the test of the moment says it. */
let answer: Parameters<typeof fakeNode>[0]
const asUsual: typeof answer = (sha256, request, response) => {
  const content = contents.get(sha256)
  if (content === undefined) response.writeHead(404).end()
  else sendContent(content, request, response)
}

beforeAll(async () => {
  uploads = await startUploadServer({})
  node = await fakeNode((sha256, request, response) => { answer(sha256, request, response) })
  sources = new BlobSources({ urls: () => [new URL(node.url)], credentials: () => ({}), userAgent: 'test', idleTimeoutMs: 5000, now: Date.now })
  const { blobs } = uploads.deps
  const partials = await PartialBlobs.open(blobs, join(blobs.path('0'.repeat(64)), '../..'))
  const backlog = { failuresOf: () => 0, clear: () => Promise.resolve() }
  fetches = new BlobFetches({ sources, partials, backlog, maxBytes: 2 ** 30, freeBytes: () => Promise.resolve(Infinity), cutPauseMs: 1 })
  docs = new DocsArchives({ open: (sha256) => fetchedBlobs(blobs, fetches).open(sha256), path: (sha256) => blobs.path(sha256) })
  const deps: Deps = { ...uploads.deps, fetches, docs }
  server = createListener(deps, createApp(deps))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
beforeEach(() => { answer = asUsual })
afterAll(async () => {
  server.close()
  server.closeAllConnections()
  await fetches[Symbol.asyncDispose]()
  sources[Symbol.dispose]()
  await docs[Symbol.asyncDispose]()
  await node[Symbol.asyncDispose]()
  expect(uploads.faults).toEqual([])
  await uploads[Symbol.asyncDispose]()
})

function ask(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(url + path, { redirect: 'manual', ...init, headers: { 'Accept-Encoding': 'identity', ...init.headers } })
}

/** Uploads a file, gives it to the other node and takes it from this one. */
async function lose(file: UploadInput, index = 'dev'): Promise<string> {
  const reply = await ask(`/nina/${index}/`, { method: 'POST', body: uploadForm(file), headers: { Authorization: uploads.auth('nina') } })
  expect([reply.status, await reply.text()]).toEqual([200, expect.anything()])
  const sha256 = sha256Of(file.bytes)
  contents.set(sha256, Buffer.from(file.bytes))
  await rm(uploads.deps.blobs.path(sha256))
  return sha256
}

async function losePath(file: ReleaseFile): Promise<string> {
  await lose(file)
  return filePathOf('dev', file)
}

const bytesOf = async (reply: Response): Promise<Buffer> => Buffer.from(await reply.arrayBuffer())
const stored = async (sha256: string): Promise<boolean> => (await uploads.deps.blobs.stat(sha256)) !== undefined

test('a file that is not here is fetched, sent and kept', async () => {
  const file = wheel('first', '1.0')
  const path = await losePath(file)
  const before = node.asked.length
  for (const _ of [1, 2]) {
    const reply = await ask(path)
    expect([reply.status, reply.headers.get('etag'), reply.headers.get('content-length'), reply.headers.get('cache-control')]).toEqual([
      200, `"${sha256Of(file.bytes)}"`, String(file.bytes.length), 'max-age=365000000, immutable, public',
    ])
    expect((await bytesOf(reply)).equals(file.bytes)).toBe(true)
  }
  expect(node.asked.length - before).toBe(1)
})

test('twenty readers, some of a part, cause one request, and are sent what is here before the rest is', async () => {
  const file = wheel('popular', '1.0', { padding: 2_000_000 })
  const path = await losePath(file)
  let sendRest = (): void => undefined
  answer = (_, __, response) => {
    response.writeHead(200, { 'Content-Length': file.bytes.length })
    response.write(file.bytes.subarray(0, 1_000_000))
    sendRest = () => { response.end(file.bytes.subarray(1_000_000)) }
  }
  const before = node.asked.length
  const replies = await Promise.all(Array.from({ length: 20 }, (_, at) => ask(path, at % 4 === 0 ? { headers: { Range: 'bytes=400000-1500000' } } : {})))
  expect(replies.map(({ status }) => status)).toEqual(replies.map((_, at) => (at % 4 === 0 ? 206 : 200)))
  const reader = replies[1]!.body!.getReader()
  let early = 0
  while (early < 700_000) early += ((await reader.read()) as { value: Uint8Array }).value.length // the rest is not sent yet
  reader.releaseLock()
  sendRest()
  for (const [at, reply] of replies.entries()) {
    if (at === 1) continue
    expect((await bytesOf(reply)).equals(at % 4 === 0 ? file.bytes.subarray(400_000, 1_500_001) : file.bytes)).toBe(true)
  }
  await replies[1]!.body!.cancel()
  expect(node.asked.length - before).toBe(1)
  expect(await stored(sha256Of(file.bytes))).toBe(true)
})

test('HEAD and a client that has it already cause no request', async () => {
  const file = wheel('known', '1.0')
  const path = await losePath(file)
  const before = node.asked.length
  const head = await ask(path, { method: 'HEAD' })
  expect([head.status, head.headers.get('content-length')]).toEqual([200, String(file.bytes.length)])
  expect((await ask(path, { headers: { 'If-None-Match': `"${sha256Of(file.bytes)}"` } })).status).toBe(304)
  expect((await ask(path, { headers: { Range: 'bytes=99999999-' } })).status).toBe(416)
  await fetches.of({ sha256: sha256Of(file.bytes) }).settled()
  expect(node.asked.length - before).toBeLessThanOrEqual(1) // of the range, which is judged when it comes
})

test('the metadata of a wheel that is not here', async () => {
  const path = await losePath(wheel('meta', '1.0', { metadataText: 'Metadata-Version: 2.1\nName: meta\nVersion: 1.0\n' }))
  const reply = await ask(`${path}.metadata`)
  expect([reply.status, await reply.text()]).toEqual([200, 'Metadata-Version: 2.1\nName: meta\nVersion: 1.0\n'])
})

test('documentation that is not here', async () => {
  await lose(docsUpload('meta', '1.0', zip(pages({ 'index.html': '<p>hello', 'deep/page.html': '<p>deep' }))))
  for (const _ of [1, 2]) {
    const reply = await ask('/nina/dev/meta/1.0/+doc/deep/page.html')
    expect([reply.status, await reply.text()]).toEqual([200, '<p>deep'])
  }
})

test('a test report that is not here', async () => {
  const file = wheel('tested', '1.0')
  const path = await losePath(file)
  const report = Buffer.from('{"host": "box"}')
  const reply = await ask(path, { method: 'POST', body: report, headers: { Authorization: uploads.auth('nina') } })
  const { result } = (await reply.json()) as { result: string }
  contents.set(sha256Of(report), report)
  await rm(uploads.deps.blobs.path(sha256Of(report)))
  expect(await (await ask(`/${result.split('#')[0]!}`)).text()).toBe('{"host": "box"}')
})

test.each<[string, typeof answer, number, string]>([
  ['is away', (_, request) => { request.socket.destroy() }, 503, 'the file is not on this replica yet, and its primary cannot be asked for it now; try again later'],
  ['does not know this one', (_, __, response) => { response.writeHead(403).end() }, 503, 'the file is not on this replica yet, and its primary cannot be asked for it now; try again later'],
  ['fails', (_, __, response) => { response.writeHead(500).end() }, 502, 'the file is not on this replica yet, and no other server could give all of it; try again later'],
  ['has another size', (_, request, response) => { sendContent(Buffer.alloc(10), request, response) }, 502, 'the file is not on this replica yet, and no other server could give all of it; try again later'],
  ['has it no more', (_, __, response) => { response.writeHead(404).end() }, 404, 'no such file'],
])('when the other node %s, who asks is told so, and gets it later', async (name, how, status, message) => {
  const file = wheel(`faulty-${name.replaceAll(/\W+/g, '-')}`, '1.0')
  const path = await losePath(file)
  answer = how
  for (const suffix of ['', '.metadata']) {
    const reply = await ask(path + suffix, { headers: { Accept: 'application/vnd.pypi.simple.v1+json, */*' } })
    expect([suffix, reply.status]).toEqual([suffix, status])
    expect(await reply.text()).toContain(message)
  }
  answer = asUsual
  expect((await bytesOf(await ask(path))).equals(file.bytes)).toBe(true)
})

test('another content than the digest says reaches nobody whole, and is not kept', async () => {
  const file = wheel('forged', '1.0', { padding: 600_000 })
  const path = await losePath(file)
  answer = (_, request, response) => { sendContent(Buffer.from(file.bytes).fill('x', 500_000), request, response) }
  await expect(ask(path).then(bytesOf)).rejects.toThrow()
  expect(await stored(sha256Of(file.bytes))).toBe(false)
  answer = asUsual
  expect((await bytesOf(await ask(path))).equals(file.bytes)).toBe(true)
})

test('nobody is sent, or has fetched, what they may not read', async () => {
  const file = wheel('hidden', '1.0')
  await lose(file, 'private')
  const before = node.asked.length
  expect((await ask(filePathOf('private', file))).status).toBe(401)
  expect((await ask(`${filePathOf('private', file)}.metadata`)).status).toBe(401)
  expect(node.asked.length).toBe(before)
  const reply = await ask(filePathOf('private', file), { headers: { Authorization: uploads.auth('bob') } })
  expect([reply.status, reply.headers.get('cache-control')]).toEqual([200, 'max-age=365000000, immutable, private'])
})
