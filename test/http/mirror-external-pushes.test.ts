import { sdist, wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { sha256Of, status, TestUpstream, truncated, type UpstreamFile } from '#test/support/upstream.js'
import { StandIn } from './stand-in.js'

const PASSWORD = 'a very secret word'

let upstream: TestUpstream
let server: TestServer
let alice: TestUser

beforeAll(async () => {
  upstream = await TestUpstream.start()
  server = await startServer({ config: { privateUpstreams: ['127.0.0.1'], pushHosts: ['127.0.0.1'] } })
  alice = await server.signUp('alice', { mirror: { type: 'mirror', mirror_url: upstream.url, mirror_cache_expiry: 0 } })
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

function mirrored({ filename, bytes }: { readonly filename: string; readonly bytes: Buffer }, fields: UpstreamFile['fields'] = {}): UpstreamFile {
  return { filename, content: bytes, fields }
}

function push(posturl: string, body: object): Promise<Response> {
  return alice.post('/alice/mirror', { version: '1.0', posturl, username: 'release-bot', password: PASSWORD, ...body })
}

async function rowsOf(reply: Response): Promise<unknown[][]> {
  const { type, result } = (await reply.json()) as { type: string; result: unknown[][] }
  expect(type).toBe('actionlog')
  return result
}

const messageOf = async (reply: Response): Promise<string> => ((await reply.json()) as { message: string }).message
const filesAsked = (project: string): string[] => upstream.asked.flatMap(({ path }) => (path.startsWith(`/files/${project}/`) ? [path] : [])).sort()

test('a cold release of a mirror is fetched, checked, and goes to another server byte for byte', async () => {
  await using other = await startServer()
  const bot = await other.signUp('release-bot', { dev: {} })
  await bot.patch('/release-bot', { password: PASSWORD })
  const files = [
    wheel('demo', '1.0', { padding: 300_000, metadata: { 'Requires-Dist': ['six', 'attrs'], 'Requires-Python': '>=3.8', Summary: 'a demo' } }),
    sdist('demo', '1.0', { metadata: { 'Requires-Dist': ['six'], 'Requires-Python': '>=3.9' } }),
  ]
  upstream.project('demo', [...files.map((file) => mirrored(file)), mirrored(wheel('demo', '2.0'))])
  await server.fetch('/alice/mirror/+simple/demo/')
  const head = server.head()

  const reply = await push(`${other.url}/release-bot/dev/`, { name: 'Demo', version: '1.0.0', register_project: true })
  expect(reply.status).toBe(200)
  const at = ({ filename, bytes }: (typeof files)[number]): string => `alice/mirror/+f/${sha256Of(bytes).slice(0, 3)}/${sha256Of(bytes).slice(3, 16)}/${filename}`
  expect(await rowsOf(reply)).toEqual([[200, 'register', 'demo', '1.0'], ...files.map((file) => [200, 'upload', at(file), ''])])
  expect(server.head()).toBe(head)
  expect(filesAsked('demo')).toEqual(files.map(({ filename }) => `/files/demo/${filename}`).sort())

  const { result } = (await (await bot.get('/release-bot/dev/demo/1.0')).json()) as { result: { summary: string; '+links': { href: string; hash_spec: string }[] } }
  expect(result.summary).toBe('a demo')
  expect(result['+links'].map(({ hash_spec: hash }) => hash).sort()).toEqual(files.map(({ bytes }) => `sha256=${sha256Of(bytes)}`).sort())

  await upstream.stop() // all of it is stored now
  await using standIn = new StandIn()
  expect((await push(await standIn.start(), { name: 'demo' })).status).toBe(200)
  expect(standIn.seen.map(({ file }) => file)).toEqual(files.map(({ bytes }) => sha256Of(bytes)))
  await upstream.restart()
})

test('each form says what its file says of itself, or what is known of the release', async () => {
  const files = [
    wheel('forms', '1.0', { metadata: { 'Requires-Dist': ['six', 'attrs'], 'Requires-Python': '>=3.8', Summary: 'a wheel' } }),
    sdist('forms', '1.0', { metadata: { 'Requires-Python': '>=3.9', Summary: 'an sdist' } }),
    { filename: 'forms-1.0.zip', bytes: Buffer.from('no archive') },
  ]
  upstream.project('forms', files.map((file) => mirrored(file, file.filename.endsWith('.zip') ? { 'requires-python': '>=3.7' } : {})))
  await using standIn = new StandIn()
  expect((await push(await standIn.start(), { name: 'forms' })).status).toBe(200)
  expect(standIn.seen.map(({ fields }) => [fields['filetype'], fields['summary'], fields['requires_python']])).toEqual([
    ['bdist_wheel', 'a wheel', '>=3.8'],
    ['sdist', 'an sdist', '>=3.9'],
    ['sdist', 'a wheel', '>=3.7'],
  ])
  for (const [at, { authorization, fields, file }] of standIn.seen.entries()) {
    expect(authorization).toBe(`Basic ${Buffer.from(`release-bot:${PASSWORD}`).toString('base64')}`)
    expect(fields).toMatchObject({ ':action': 'file_upload', protocol_version: '1', name: 'forms', version: '1.0', sha256_digest: file })
    expect(file).toBe(sha256Of(files[at]?.bytes ?? Buffer.alloc(0)))
  }
  expect(standIn.seen[0]?.all.filter(([field]) => field === 'requires_dist').map(([, value]) => value)).toEqual(['six', 'attrs'])
})

test('what the other server does not take is a row, and the status is 502', async () => {
  upstream.project('rows', [mirrored(wheel('rows', '1.0')), mirrored(sdist('rows', '1.0'))])
  await using standIn = new StandIn([[400, 'File already exists'], [200, '']])
  const reply = await push(await standIn.start(), { name: 'rows' })
  expect(reply.status).toBe(502)
  expect((await rowsOf(reply)).map(([code, what, , text]) => [code, what, text])).toEqual([[400, 'upload', 'File already exists'], [200, 'upload', '']])
})

test('no room is made of the files while they are sent', async () => {
  const files = [wheel('kept', '1.0'), sdist('kept', '1.0')]
  upstream.project('kept', files.map((file) => mirrored(file)))
  await using standIn = new StandIn()
  const removed: boolean[] = []
  standIn.onForm = async () => { for (const { bytes } of files) removed.push(await server.running.blobs.delete(sha256Of(bytes))) }
  expect((await push(await standIn.start(), { name: 'kept' })).status).toBe(200)
  expect([removed, standIn.seen.length]).toEqual([[false, false, false, false], 2])
  expect(await server.running.blobs.delete(sha256Of(files[0]?.bytes ?? Buffer.alloc(0)))).toBe(true)
})

test.each<[string, (path: string, content: Buffer) => void, RegExp]>([
  ['an error', (path) => { upstream.on(path, status(500)) }, /^broken-1\.0\.zip could not be fetched, and nothing was pushed: 127\.0\.0\.1:\d+ answered 500 for the file$/],
  ['nothing any more', (path) => { upstream.on(path, status(404)) }, /has the file no more$/],
  ['other bytes', (path) => { upstream.on(path, (_, response) => void response.end('other bytes')) }, /nothing was pushed: /],
  ['half of it', (path, content) => { upstream.on(path, truncated(content.subarray(1), content.length)) }, /nothing was pushed: /],
])('an upstream that has %s for one of the files: 502, and nothing is sent', async (_, breakFile, message) => {
  upstream.project('broken', [{ filename: 'broken-1.0.tar.gz', content: Buffer.from('bytes that come') }, { filename: 'broken-1.0.zip', content: Buffer.from('bytes that do not') }])
  breakFile('/files/broken/broken-1.0.zip', Buffer.from('bytes that do not'))
  await using standIn = new StandIn()
  const reply = await push(await standIn.start(), { name: 'broken', register_project: true })
  expect([reply.status, await messageOf(reply), standIn.seen]).toEqual([502, expect.stringMatching(message), []])
})

test('a file that the policy comes to hide while it is fetched is not sent', async () => {
  const content = Buffer.from('late')
  upstream.project('late', [{ filename: 'late-1.0.zip', content }])
  upstream.on('/files/late/late-1.0.zip', async (_, response) => {
    await alice.patch('/alice/mirror', { constraints: ['!late'] })
    response.end(content)
  })
  await using standIn = new StandIn()
  const reply = await push(await standIn.start(), { name: 'late' })
  expect([reply.status, await messageOf(reply), standIn.seen]).toEqual([403, expect.stringMatching(/^late-1\.0\.zip is hidden by /), []])
  await alice.patch('/alice/mirror', { constraints: null })
})

test.each<[string, object, number, RegExp]>([
  ['what the policy of the mirror hides', { name: 'ruled' }, 403, /^ruled-1\.0\.zip is hidden by /],
  ['an unknown version', { name: 'ruled', version: '9.0' }, 400, /^there are no files for ruled 9\.0 on stage alice\/mirror$/],
  ['an unknown project', { name: 'nothing' }, 400, /^there are no files for nothing 1\.0 on stage alice\/mirror$/],
  ['documentation alone', { name: 'plain', only_docs: true }, 404, /^no release\/files found for plain 1\.0$/],
  ['a host in a private network', { name: 'plain', posturl: 'http://127.0.0.2:1/' }, 403, /private network.*--push-host 127\.0\.0\.2/],
])('%s is refused before a file is asked for', async (_, body, code, message) => {
  upstream.project('plain', [{ filename: 'plain-1.0.zip', content: Buffer.from('plain') }])
  upstream.project('ruled', [{ filename: 'ruled-1.0.zip', content: Buffer.from('ruled') }])
  await alice.patch('/alice/mirror', { constraints: ['!ruled'] })
  await using standIn = new StandIn()
  const reply = await push(await standIn.start(), body)
  expect([reply.status, await messageOf(reply)]).toEqual([code, expect.stringMatching(message)])
  expect([standIn.seen, filesAsked('plain'), filesAsked('ruled')]).toEqual([[], [], []])
  await alice.patch('/alice/mirror', { constraints: null })
})

test('nobody sends things elsewhere without saying who, and no upstream is asked for him', async () => {
  const body = JSON.stringify({ name: 'unsaid', version: '1.0', posturl: 'http://127.0.0.1:1/', username: 'x', password: 'y' })
  expect((await server.fetch('/alice/mirror', { method: 'POST', body })).status).toBe(401)
  expect(upstream.count('/simple/unsaid/')).toBe(0)
})
