import { sdist, wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { sha256Of, SIMPLE_JSON, status, TestUpstream, truncated, type UpstreamFile } from '#test/support/upstream.js'

let upstream: TestUpstream
let server: TestServer
let alice: TestUser
let bob: TestUser

beforeAll(async () => {
  upstream = await TestUpstream.start()
  server = await startServer({ config: { privateUpstreams: ['127.0.0.1'] } })
  alice = await server.signUp('alice', { mirror: { type: 'mirror', mirror_url: upstream.url, mirror_cache_expiry: 0 }, prod: { volatile: false } })
  bob = await server.signUp('bob', {})
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

function mirrored({ filename, bytes }: { readonly filename: string; readonly bytes: Buffer }, fields: UpstreamFile['fields'] = {}): UpstreamFile {
  return { filename, content: bytes, fields }
}

function push(body: object, { by = alice }: { readonly by?: TestUser } = {}): Promise<Response> {
  return by.post('/alice/mirror/', { version: '1.0', targetindex: 'alice/prod', ...body })
}

interface SimpleFile {
  readonly filename: string
  readonly url: string
  readonly hashes: { readonly sha256: string }
  readonly 'core-metadata'?: { readonly sha256: string }
  readonly yanked?: string | boolean
  readonly 'requires-python'?: string
}

async function filesAt(page: string): Promise<readonly SimpleFile[]> {
  const reply = await server.fetch(page, { headers: { accept: SIMPLE_JSON } })
  expect([page, reply.status]).toEqual([page, 200])
  return ((await reply.json()) as { files: readonly SimpleFile[] }).files
}

test('a cold release is fetched, checked and pushed in one entry, and stays when the upstream is gone', async () => {
  const wheelFile = wheel('demo', '1.0', { metadata: { 'Requires-Dist': ['six'], 'Requires-Python': '>=3.8', Summary: 'a demo' } })
  const sdistFile = sdist('demo', '1.0')
  upstream.project('demo', [mirrored(wheelFile), mirrored(sdistFile, { hashes: {}, yanked: 'broken', 'requires-python': '>=3.9' }), mirrored(wheel('demo', '2.0'))])
  const reply = await push({ name: 'Demo', version: '1.0.0' }) // PEP 440: the same version
  const at = (sha: string, filename: string): string => `alice/prod/+f/${sha.slice(0, 3)}/${sha.slice(3, 16)}/${filename}`
  const [wheelSha, sdistSha] = [sha256Of(wheelFile.bytes), sha256Of(sdistFile.bytes)]
  expect([reply.status, await reply.json()]).toEqual([200, {
    type: 'actionlog',
    result: [
      [200, 'register', 'demo', '1.0', '->', 'alice/prod'],
      [200, 'store_releasefile', at(wheelSha, wheelFile.filename)],
      [200, 'store_releasefile', at(sdistSha, sdistFile.filename)],
    ],
  }])
  const head = server.head()
  expect((await push({ name: 'demo' })).status).toBe(200) // all of it is there
  expect(server.head()).toBe(head)
  expect(upstream.asked.filter(({ path }) => path.startsWith('/files/demo/')).map(({ path }) => path).sort()).toEqual([`/files/demo/${wheelFile.filename}`, `/files/demo/${sdistFile.filename}`])

  await upstream.stop()
  const files = await filesAt('/alice/prod/+simple/demo/')
  const byName = new Map(files.map((file) => [file.filename, file]))
  expect([...byName.keys()].sort()).toEqual([wheelFile.filename, sdistFile.filename].sort())
  expect(byName.get(wheelFile.filename)).toMatchObject({ hashes: { sha256: wheelSha }, 'requires-python': '>=3.8' })
  expect(byName.get(sdistFile.filename)).toMatchObject({ hashes: { sha256: sdistSha }, 'requires-python': '>=3.9', yanked: 'broken' })
  for (const { bytes, filename } of [wheelFile, sdistFile]) {
    const path = `/${at(sha256Of(bytes), filename)}`
    expect(Buffer.from(await (await server.fetch(path)).arrayBuffer()).equals(bytes)).toBe(true)
  }
  const metadata = Buffer.from(await (await server.fetch(`/${at(wheelSha, wheelFile.filename)}.metadata`)).arrayBuffer())
  expect(metadata.toString()).toContain('Requires-Dist: six')
  expect(byName.get(wheelFile.filename)?.['core-metadata']?.sha256).toBe(sha256Of(metadata))
  const { result } = (await (await alice.get('/alice/prod/demo/1.0')).json()) as { result: { summary: string; requires_dist: string[]; '+links': { log: object[] }[] } }
  expect(result).toMatchObject({ name: 'demo', version: '1.0', summary: 'a demo', requires_dist: ['six'] })
  expect(result['+links'][0]?.log).toEqual([expect.objectContaining({ what: 'push', who: 'alice', src: 'alice/mirror', dst: 'alice/prod' })])
  await upstream.restart()
})

test.each<[string, (path: string, content: Buffer) => void, RegExp]>([
  ['an error', (path) => { upstream.on(path, status(500)) }, /^broken-1\.0\.zip could not be fetched, and nothing was pushed: 127\.0\.0\.1:\d+ answered 500 for the file$/],
  ['nothing any more', (path) => { upstream.on(path, status(404)) }, /has the file no more$/],
  ['other bytes', (path) => { upstream.on(path, (_, response) => void response.end('other bytes')) }, /nothing was pushed: /],
  ['half of it', (path, content) => { upstream.on(path, truncated(content.subarray(1), content.length)) }, /nothing was pushed: /],
])('an upstream that has %s for one of the files: 502, and nothing is pushed', async (_, breakFile, message) => {
  const whole = { filename: 'broken-1.0.tar.gz', content: Buffer.from('bytes that come') }
  const broken = { filename: 'broken-1.0.zip', content: Buffer.from('bytes that do not') }
  upstream.project('broken', [whole, broken])
  breakFile('/files/broken/broken-1.0.zip', broken.content)
  await server.fetch('/alice/mirror/+simple/broken/')
  const head = server.head()
  const reply = await push({ name: 'broken' })
  expect([reply.status, ((await reply.json()) as { message: string }).message]).toEqual([502, expect.stringMatching(message)])
  expect([server.head(), (await alice.get('/alice/prod/broken')).status]).toEqual([head, 404])
})

test.each<[string, object, { by?: () => TestUser }, number, RegExp]>([
  ['no right to upload there', { name: 'plain' }, { by: () => bob }, 403, /^user 'bob' cannot upload to 'alice\/prod'$/],
  ['an unknown target', { name: 'plain', targetindex: 'alice/nope' }, {}, 404, /alice\/nope/],
  ['the mirror itself', { name: 'plain', targetindex: 'alice/mirror' }, {}, 400, /already is/],
  ['an unknown version', { name: 'plain', version: '9.0' }, {}, 400, /^there are no files for plain 9\.0 on stage alice\/mirror$/],
  ['an unknown project', { name: 'nothing' }, {}, 400, /^there are no files for nothing 1\.0 on stage alice\/mirror$/],
  ['a name that is none', { name: '../plain' }, {}, 400, /^there are no files for /],
  ['documentation alone', { name: 'plain', only_docs: true }, {}, 404, /^no release\/files found for plain 1\.0$/],
  ['what the policy of the mirror hides', { name: 'ruled' }, {}, 403, /^ruled-1\.0\.zip is hidden by /],
  ['other bytes than the target has', { name: 'taken' }, {}, 409, /^taken-1\.0\.tar\.gz already exists in non-volatile index$/],
])('%s is refused before a file is asked for', async (_, body, { by }, code, message) => {
  upstream.project('plain', [{ filename: 'plain-1.0.zip', content: Buffer.from('plain') }])
  upstream.project('ruled', [{ filename: 'ruled-1.0.zip', content: Buffer.from('ruled') }])
  upstream.project('taken', [mirrored(sdist('taken', '1.0', { padding: 10 }))])
  await alice.upload('prod', sdist('taken', '1.0'))
  await alice.patch('/alice/mirror', { constraints: ['!ruled'] })
  for (const name of ['plain', 'ruled', 'taken']) await server.fetch(`/alice/mirror/+simple/${name}/`)
  const head = server.head()
  const reply = await push(body, { by: by?.() ?? alice })
  expect([reply.status, ((await reply.json()) as { message: string }).message]).toEqual([code, expect.stringMatching(message)])
  expect(server.head()).toBe(head)
  expect(['plain', 'ruled', 'taken'].flatMap((name) => upstream.asked.filter(({ path }) => path.startsWith(`/files/${name}/`)))).toEqual([])
})

test('a file that the upstream replaces while it is fetched is not pushed', async () => {
  const [old, now] = [Buffer.from('old bytes'), Buffer.from('new bytes')]
  upstream.project('swap', [{ filename: 'swap-1.0.zip', content: old }])
  await server.fetch('/alice/mirror/+simple/swap/')
  let release = (): void => undefined
  const asked = new Promise<void>((resolve) => {
    upstream.on('/files/swap/swap-1.0.zip', (_, response) => {
      release = () => void response.writeHead(200, { 'content-length': old.length }).end(old)
      resolve()
    })
  })
  const pushed = push({ name: 'swap' })
  await asked
  const answerOld = release
  upstream.project('swap', [{ filename: 'swap-1.0.zip', content: now }])
  await server.fetch('/alice/mirror/+simple/swap/')
  const head = server.head()
  answerOld()
  const reply = await pushed
  expect([reply.status, ((await reply.json()) as { message: string }).message]).toEqual([409, 'the upstream of alice/mirror replaced or removed swap-1.0.zip while it was fetched; push again'])
  expect(server.head()).toBe(head)
})

test('files that say of themselves what they are not are copied without metadata of their own', async () => {
  upstream.project('odd', [mirrored({ ...wheel('other', '3.0'), filename: 'odd-1.0-py3-none-any.whl' }), { filename: 'odd-1.0.zip', content: Buffer.from('no archive') }])
  expect((await push({ name: 'odd' })).status).toBe(200)
  const files = await filesAt('/alice/prod/+simple/odd/')
  expect(files.map((file) => [file.filename, file['core-metadata']])).toEqual([['odd-1.0-py3-none-any.whl', undefined], ['odd-1.0.zip', undefined]])
})

// The last one: who does not answer is not asked again for a while.
test('an upstream that is away: what is stored can be pushed, the rest is 502', async () => {
  upstream.project('away', [{ filename: 'away-1.0.zip', content: Buffer.from('one') }, { filename: 'away-2.0.zip', content: Buffer.from('two') }])
  const [one] = await filesAt('/alice/mirror/+simple/away/').then((files) => files.filter(({ filename }) => filename === 'away-1.0.zip'))
  await (await server.fetch(new URL(one?.url ?? '', `${server.url}/alice/mirror/+simple/away/`).pathname)).arrayBuffer()
  await upstream.stop()
  const head = server.head()
  expect((await push({ name: 'away', version: '2.0' })).status).toBe(502)
  expect((await push({ name: 'never-seen' })).status).toBe(502)
  expect(server.head()).toBe(head)
  expect((await push({ name: 'away', version: '1.0' })).status).toBe(200)
})
