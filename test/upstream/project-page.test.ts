import { gzipSync } from 'node:zlib'
import { UpstreamClient } from '#server/upstream/client.js'
import { fetchProjectPage, type FetchedPage, type PageValidators } from '#server/upstream/project-page.js'
import { TargetHosts } from '#server/upstream/target-hosts.js'
import { type Answer, redirect, silence, SIMPLE_JSON, status, TestUpstream, text, truncated } from '../support/upstream.js'

let upstream: TestUpstream
let other: TestUpstream
let client: UpstreamClient
let time = 0

beforeEach(async () => {
  upstream = await TestUpstream.start()
  other = await TestUpstream.start()
  client = new UpstreamClient({ hosts: new TargetHosts(['127.0.0.1'], '--allow-private-upstream'), userAgent: 'test', now: () => time, idleTimeoutMs: 200 })
})
afterEach(async () => {
  client[Symbol.dispose]()
  await upstream[Symbol.asyncDispose]()
  await other[Symbol.asyncDispose]()
})

function fetchPage(validators: PageValidators = {}, credentials?: { username: string; password: string }): Promise<FetchedPage> {
  const url = new URL(upstream.url)
  return fetchProjectPage(client, { upstream: { url, ...(credentials && { credentials }) }, project: 'demo', validators, signal: AbortSignal.timeout(5000) })
}

async function namesOf(page: Promise<FetchedPage>): Promise<string[]> {
  const found = await page
  return found.kind === 'page' ? found.files.map(({ filename }) => filename) : [found.kind]
}

test.each(['1.0', '1.1', '1.2', '1.3', '1.4', '1.99'])('reads JSON of version %s, also with parameters behind the type', async (version) => {
  upstream.project('demo', [{ filename: 'demo-1.0.zip', content: Buffer.from('x') }], { version, contentType: `${SIMPLE_JSON}; charset=utf-8` })
  const page = await fetchPage()
  expect(page).toMatchObject({ kind: 'page', files: [{ filename: 'demo-1.0.zip', url: `${upstream.origin}/files/demo/demo-1.0.zip` }] })
})

test('reads HTML, whatever else is on the page', async () => {
  upstream.on('/simple/demo/', text(`<html><head><base href="/else/"></head>
    <a href="javascript:alert(1)">demo-6.6.zip</a><a href="https://home.example/">home</a><a>demo-0.1.zip</a>
    <a href="demo-1.0.zip#sha256=ABCD" data-requires-python="&gt;=3.8" data-yanked="bad &quot;one&quot;" data-core-metadata="sha256=12">x</a>
    <!-- <a href="demo-0.2.zip">hidden</a> --><script>"<a href='demo-0.3.zip'>"</script>
    <a href='https://user:secret@files.example/demo%2B1.tar.gz?a=b#egg=demo'>y</a>`))
  expect(await fetchPage()).toMatchObject({
    files: [
      { filename: 'demo-1.0.zip', url: `${upstream.origin}/else/demo-1.0.zip`, hashes: { sha256: 'abcd' }, requiresPython: '>=3.8', yanked: 'bad "one"', coreMetadata: { sha256: '12' } },
      { filename: 'demo+1.tar.gz', url: 'https://files.example/demo%2B1.tar.gz?a=b', hashes: {} },
    ],
  })
})

test('a page of 20,000 files, packed', async () => {
  const links = Array.from({ length: 20_000 }, (_, at) => `<a href="demo-${at}.zip#sha256=${'a'.repeat(64)}">x</a>`).join('\n')
  upstream.on('/simple/demo/', (_request, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(links)))
  expect(await namesOf(fetchPage())).toHaveLength(20_000)
})

test('asks again with what it knows, and is told that nothing changed', async () => {
  upstream.project('demo', [])
  const first = await fetchPage()
  expect(first.kind === 'page' && (await fetchPage(first.validators)).kind).toBe('not-modified')
})

const FAILURES: readonly (readonly [string, Answer, RegExp])[] = [
  ['500', status(500), /answered 500/],
  ['304 to who knows nothing', status(304), /answered 304/],
  ['JSON of another major version', text('{"meta":{"api-version":"2.0"}}', { contentType: SIMPLE_JSON }), /version "2.0"/],
  ['HTML of another major version', text('<meta name="pypi:repository-version" content="2.0">'), /version "2.0"/],
  ['no JSON', text('<html>', { contentType: SIMPLE_JSON }), /is not JSON/],
  ['no answer', silence, /did not answer \(ETIMEDOUT\)/],
  ['half a page', truncated(Buffer.from('<a'), 100), /broke off/],
  ['an unknown encoding', (_request, response) => void response.writeHead(200, { 'content-encoding': 'zstd' }).end('x'), /encoding/],
  ['a broken encoding', (_request, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'), /broke off/],
  ['a circle', redirect('/simple/demo/'), /redirects more than/],
  ['a redirect to a file', redirect('file:///etc/passwd'), /no address of the web/],
  ['a redirect into a private network', redirect('http://127.0.0.2/'), /--allow-private-upstream 127\.0\.0\.2/],
  ['a redirect there by name', redirect('http://localhost/'), /--allow-private-upstream localhost/],
]
test.each(FAILURES)('%s is a failure of the upstream', async (_name, answer, message) => {
  upstream.on('/simple/demo/', answer)
  await expect(fetchPage()).rejects.toMatchObject({ kind: 'upstream-failed', message: expect.stringMatching(message) as string })
})

test.each([404, 410])('%d says that there is no such project', async (code) => {
  upstream.on('/simple/demo/', status(code))
  expect((await fetchPage()).kind).toBe('absent')
})

test('credentials go to the upstream and not where it redirects to', async () => {
  upstream.on('/simple/demo/', redirect(`${other.origin}/there/`))
  other.on('/there/', text('<a href="demo-1.0.zip">x</a>'))
  expect(await namesOf(fetchPage({}, { username: 'me', password: 'secret' }))).toEqual(['demo-1.0.zip'])
  expect(upstream.asked[0]?.headers.authorization).toBe(`Basic ${Buffer.from('me:secret').toString('base64')}`)
  expect(other.asked[0]?.headers.authorization).toBeUndefined()
})

test('a server that wants to be left alone is, for as long as it says', async () => {
  upstream.on('/simple/demo/', status(429, { 'retry-after': '5' }))
  await expect(fetchPage()).rejects.toThrow(/answered 429/)
  await expect(fetchPage()).rejects.toThrow(/asked again in 5 s/)
  expect(upstream.count('/simple/demo/')).toBe(1)
  time += 5000
  upstream.project('demo', [])
  expect((await fetchPage()).kind).toBe('page')
})
