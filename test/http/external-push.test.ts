import { createHash } from 'node:crypto'
import { isPublicAddress } from '#server/upstream/target-hosts.js'
import { sdist, wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { StandIn } from './stand-in.js'

const PASSWORD = 'a very secret word'
const FILES = [sdist('demo', '1.0'), wheel('demo', '1.0', { padding: 300_000 })]

let server: TestServer
let nina: TestUser
beforeEach(async () => {
  server = await startServer({ config: { pushHosts: ['127.0.0.1'] } })
  nina = await server.signUp('nina', { dev: {} })
  for (const file of FILES) expect((await nina.upload('dev', file)).status).toBe(200)
})
afterEach(() => server[Symbol.asyncDispose]())

function push(posturl: string, more: object = {}): Promise<Response> {
  return nina.post('/nina/dev', { name: 'demo', version: '1.0', posturl, username: 'release-bot', password: PASSWORD, ...more })
}

async function rowsOf(reply: Response): Promise<unknown[][]> {
  const { type, result } = (await reply.json()) as { type: string; result: unknown[][] }
  expect(type).toBe('actionlog')
  return result
}

test('a release goes to a second server, byte for byte', async () => {
  await using other = await startServer()
  const bot = await other.signUp('release-bot', { dev: {} })
  await other.fetch('/release-bot', { method: 'PATCH', headers: { 'X-Devpi-Auth': bot.auth }, body: JSON.stringify({ password: PASSWORD }) })
  const head = server.head()

  const reply = await push(`${other.url}/release-bot/dev/`, { register_project: true })
  expect(reply.status).toBe(200)
  const rows = await rowsOf(reply)
  expect(rows.map(([status, what]) => [status, what])).toEqual([[200, 'register'], [200, 'upload'], [200, 'upload']])
  expect(rows.slice(1).map(([, , path]) => String(path).replace(/.*\//, '')).sort()).toEqual(FILES.map(({ filename }) => filename).sort())
  expect(server.head()).toBe(head)

  const here = (await (await nina.get('/nina/dev/demo/1.0')).json()) as { result: { '+links': { hash_spec: string }[] } }
  const there = (await (await other.fetch('/release-bot/dev/demo/1.0', { headers: { Accept: 'application/json' } })).json()) as typeof here
  const hashes = (found: typeof here): string[] => found.result['+links'].map(({ hash_spec: hash }) => hash).sort()
  expect(hashes(there)).toEqual(hashes(here))
})

test('forms are those of upload tools', async () => {
  await using standIn = new StandIn([])
  expect((await push(await standIn.start())).status).toBe(200)
  expect(standIn.seen).toHaveLength(2)
  for (const { authorization, fields, file } of standIn.seen) {
    expect(Buffer.from(authorization?.replace('Basic ', '') ?? '', 'base64').toString()).toBe(`release-bot:${PASSWORD}`)
    expect(fields).toMatchObject({ ':action': 'file_upload', protocol_version: '1', name: 'demo', version: '1.0', sha256_digest: file })
  }
  expect(standIn.seen.map(({ fields }) => [fields['filetype'], fields['pyversion']])).toEqual(expect.arrayContaining([['sdist', 'source'], ['bdist_wheel', '3']]))
})

test.each<[string, (readonly [number, string])[], object, number, unknown[][]]>([
  ['the first file is there already', [[400, 'File already exists'], [200, '']], {}, 502, [[400, 'upload', 'File already exists'], [200, 'upload', '']]],
  ['no registering any more', [[410, 'gone'], [200, ''], [200, '']], { register_project: true }, 200, [[410, 'register'], [200, 'upload', ''], [200, 'upload', '']]],
  ['a wrong password', [[403, 'Invalid or non-existent authentication information.'], [403, 'x']], {}, 502, [[403, 'upload', expect.stringContaining('Invalid')], [403, 'upload', 'x']]],
  ['it fails', [[500, 'oops'], [503, 'later']], {}, 502, [[500, 'upload', 'oops'], [503, 'upload', 'later']]],
  ['a redirect is no success, and not followed', [[302, ''], [200, '']], {}, 502, [[302, 'upload', ''], [200, 'upload', '']]],
  ['the connection breaks in the middle', [[200, ''], [-1, '']], {}, 502, [[200, 'upload', ''], [-1, 'upload', expect.stringMatching(/could not be reached/)]]],
  ['the connection breaks at once: nothing more is sent', [[-1, '']], {}, 502, [[-1, 'upload', expect.any(String)], [-1, 'upload', expect.stringMatching(/not sent/)]]],
])('%s', async (_, answers, more, status, wanted) => {
  await using standIn = new StandIn(answers)
  const head = server.head()
  const reply = await push(await standIn.start(), more)
  expect(reply.status).toBe(status)
  const text = await reply.clone().text()
  const rows = await rowsOf(reply)
  expect(rows.map(([code, what, , body]) => (what === 'upload' ? [code, what, body] : [code, what]))).toEqual(wanted)
  expect(server.head()).toBe(head)
  expect(text + server.log.join('')).not.toContain(PASSWORD)
})

test.each<[string, object, number, RegExp]>([
  ['an address of another kind', { posturl: 'ftp://127.0.0.1/' }, 400, /http or https/],
  ['no address', { posturl: 'pypi' }, 400, /http or https/],
  ['a password in the address', { posturl: `http://u:${PASSWORD.replaceAll(' ', '%20')}@127.0.0.1/` }, 400, /must not hold a user and password/],
  ['a number as password', { posturl: 'http://127.0.0.1/', password: 7 }, 400, /must be texts/],
  ['an unknown option', { posturl: 'http://127.0.0.1/', sign: true }, 400, /unknown additional options: sign/],
  ['a release that is not there', { posturl: 'http://127.0.0.1/', version: '9' }, 400, /there are no files for demo 9/],
  ['this machine under another address', { posturl: 'http://127.0.0.2:1/' }, 403, /private network.*--push-host 127\.0\.0\.2/],
  ['this machine by name', { posturl: 'http://localhost:1/' }, 403, /private network.*--push-host localhost/],
  ['this machine in IPv6', { posturl: 'http://[::1]:1/' }, 403, /private network/],
  ['this machine as a number', { posturl: 'http://2130706434/' }, 403, /private network/],
])('%s is refused', async (_, more, status, message) => {
  const reply = await push('', more)
  expect(reply.status).toBe(status)
  const text = await reply.text()
  expect(text).toMatch(message)
  expect(text + server.log.join('')).not.toContain('very secret')
})

test('a file that is missing on the disk has a row that says so, and the others are sent', async () => {
  const [lost, kept] = FILES.map(({ bytes }) => createHash('sha256').update(bytes).digest('hex'))
  expect(await server.running.blobs.delete(lost ?? '')).toBe(true)
  await using standIn = new StandIn([])
  const reply = await push(await standIn.start())
  expect(reply.status).toBe(502)
  const rows = await rowsOf(reply)
  expect(rows.map(([code, what, , body]) => [code, what, body]).sort()).toEqual([[-1, 'upload', expect.stringMatching(/missing on the disk .*devpi-fsck/)], [200, 'upload', '']])
  expect(standIn.seen.map(({ file }) => file)).toEqual([kept])
})

test('nobody sends things elsewhere without saying who', async () => {
  const body = JSON.stringify({ name: 'demo', version: '1.0', posturl: 'http://127.0.0.1:1/', username: 'x', password: 'y' })
  expect((await server.fetch('/nina/dev', { method: 'POST', body })).status).toBe(401)
})

test.each([
  ['8.8.8.8', true], ['192.0.2.1', true], ['2001:4860:4860::8888', true], ['10.1.2.3', false], ['127.0.0.1', false], ['169.254.169.254', false],
  ['172.31.255.255', false], ['172.32.0.1', true], ['192.168.0.1', false], ['100.64.0.1', false], ['::1', false], ['::', false], ['fe80::1', false],
  ['fd00::1', false], ['::ffff:127.0.0.1', false], ['::ffff:8.8.8.8', true], ['64:ff9b::7f00:1', false], ['64:ff9b:1::7f00:1', false],
  ['::7f00:1', false], ['::ffff:0:7f00:1', false], ['2002:7f00:1::', false], ['2001:0:1::', false], ['2001:1::', true], ['fec0::1', false], ['not an address', false],
])('%s is public: %p', (address, wanted) => {
  expect(isPublicAddress(address)).toBe(wanted)
})
