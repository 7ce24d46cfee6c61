import { wheel } from '#test/support/archives.js'
import { docsUpload, pages } from '#test/support/docs.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { zip } from '#test/support/zip-builder.js'

const SIMPLE_JSON = 'application/vnd.pypi.simple.v1+json'
const PIP = { 'User-Agent': 'pip/25.0' }
const JSON_HEADERS = { Accept: 'application/json' }
const DOCS = '/owner/private/secretlib/1.0/+doc'

let server: TestServer
let owner: TestUser
let friend: TestUser
let stranger: TestUser
/** Path of the file on the private index. */
let file: string
/** When the index was still open to everybody. */
let openSerial: number

beforeAll(async () => {
  server = await startServer()
  owner = await server.signUp('owner', { private: {} })
  friend = await server.signUp('friend', { own: {} })
  stranger = await server.signUp('stranger', { own: { bases: ['owner/private'] } })
  await owner.upload('private', wheel('secretlib', '1.0'))
  const { result } = (await (await owner.get('/owner/private/secretlib/1.0')).json()) as { result: { '+links': { href: string }[] } }
  file = new URL(result['+links'][0]!.href).pathname
  await owner.upload('private', docsUpload('secretlib', '1.0', zip(pages({ 'index.html': 'secret words', 'api/index.html': 'secret words' }))))
  openSerial = server.head()
  for (const path of [file, `${file}.metadata`, '/owner/private/+simple/secretlib/', `${DOCS}/index.html`]) expect((await server.fetch(path)).status).toBe(200) // caches are warm
  expect((await owner.patch('/owner/private', { acl_read: ['owner', 'friend'] })).status).toBe(200)
})
afterAll(() => server[Symbol.asyncDispose]())

interface Road {
  readonly name: string
  readonly path: () => string
  readonly headers: Record<string, string>
  readonly init?: RequestInit
}

const ROADS: readonly Road[] = [
  { name: 'the page in HTML', path: () => '/owner/private/+simple/secretlib/', headers: { Accept: 'text/html' } },
  { name: 'the page in JSON', path: () => '/owner/private/+simple/secretlib/', headers: { Accept: SIMPLE_JSON } },
  { name: 'the page under simple/', path: () => '/owner/private/simple/secretlib/', headers: {} },
  { name: 'the page, HEAD', path: () => '/owner/private/+simple/secretlib/', headers: {}, init: { method: 'HEAD' } },
  { name: 'the page of another spelling', path: () => '/owner/private/+simple/SecretLib', headers: PIP },
  { name: 'the page under the encoded name', path: () => '/owner/private/%2Bsimple/secretlib/', headers: {} },
  { name: 'the page at the project, for installers', path: () => '/owner/private/secretlib/', headers: PIP },
  { name: 'the list', path: () => '/owner/private/+simple/', headers: {} },
  { name: 'the list at the index, for installers', path: () => '/owner/private/', headers: PIP },
  { name: 'the list in JSON at the index', path: () => '/owner/private', headers: { Accept: SIMPLE_JSON } },
  { name: 'the page as it was', path: () => `/owner/private/+at/${openSerial}/+simple/secretlib/`, headers: {} },
  { name: 'the list as it was', path: () => `/owner/private/+at/${openSerial}/+simple/`, headers: {} },
  { name: 'the file as it was', path: () => file.replace('/+f/', `/+at/${openSerial}/+f/`), headers: {} },
  { name: 'the file', path: () => file, headers: {} },
  { name: 'the file, HEAD', path: () => file, headers: {}, init: { method: 'HEAD' } },
  { name: 'a piece of the file', path: () => file, headers: { Range: 'bytes=0-3' } },
  { name: 'the file under the encoded name', path: () => file.replace('+f', '%2bf'), headers: {} },
  { name: 'the file, if it changed', path: () => file, headers: { 'If-None-Match': '*' } },
  { name: 'its metadata', path: () => `${file}.metadata`, headers: {} },
  { name: 'the JSON of the file', path: () => file, headers: JSON_HEADERS },
  { name: 'a file that is not there', path: () => `${file}x`, headers: {} },
  { name: 'its documentation', path: () => `${DOCS}/index.html`, headers: {} },
  { name: 'its documentation, HEAD', path: () => `${DOCS}/index.html`, headers: {}, init: { method: 'HEAD' } },
  { name: 'its documentation, if it changed', path: () => `${DOCS}/index.html`, headers: { 'If-None-Match': '*' } },
  { name: 'its documentation under the encoded name', path: () => `${DOCS.replace('+doc', '%2Bdoc')}/index.html`, headers: {} },
  { name: 'its documentation in a frame', path: () => `${DOCS.replace('+doc', '+d')}/api/`, headers: {} },
  { name: 'the top of its documentation', path: () => `${DOCS}/`, headers: {} },
  { name: 'a folder of its documentation', path: () => `${DOCS}/api`, headers: {} },
  { name: 'its latest documentation', path: () => `${DOCS.replace('1.0', 'latest')}/index.html`, headers: {} },
  { name: 'its stable documentation', path: () => `${DOCS.replace('1.0', 'stable')}/index.html`, headers: {} },
  { name: 'the JSON of the index', path: () => '/owner/private', headers: JSON_HEADERS },
  { name: 'the JSON of the project', path: () => '/owner/private/secretlib', headers: JSON_HEADERS },
  { name: 'the JSON of the version', path: () => '/owner/private/secretlib/1.0', headers: JSON_HEADERS },
  { name: 'a test report on the file', path: () => file, headers: JSON_HEADERS, init: { method: 'POST', body: '{}' } },
]

describe.each(ROADS)('$name', ({ path, headers, init = {} }) => {
  test.each<[string, () => Record<string, string>, boolean]>([
    ['nobody', () => ({}), false],
    ['a stranger', () => ({ 'X-Devpi-Auth': stranger.auth }), false],
    ['a friend', () => ({ 'X-Devpi-Auth': friend.auth }), true],
    ['the owner', () => ({ 'X-Devpi-Auth': owner.auth }), true],
  ])('for %s', async (who, auth, admitted) => {
    const reply = await server.fetch(path(), { ...init, headers: { ...headers, ...auth() } })
    const text = await reply.text()
    if (admitted) {
      expect([200, 206, 302, 304, 404]).toContain(reply.status)
    } else if (reply.status === 302) {
      expect(reply.headers.get('location')).toMatch(/secretlib\/?$/) // no more than was asked for, in normal form
    } else {
      expect(reply.status).toBe(who === 'nobody' ? 401 : 403)
      expect(text).not.toMatch(/\.whl|PK\x03\x04|Metadata-Version|secret words/)
    }
  })
})

test('lists of users show the index to its readers alone', async () => {
  for (const path of ['/', '/owner']) {
    expect(await (await server.fetch(path, { headers: JSON_HEADERS })).text()).not.toContain('"private":')
    expect(await (await stranger.get(path)).text()).not.toContain('"private":')
    expect(await (await friend.get(path)).text()).toContain('"private":')
  }
})

test('an index that inherits from it shows nothing of it to strangers, whoever asked before', async () => {
  for (const [user, status] of [[friend, 200], [stranger, 404], [friend, 200]] as const) {
    expect((await user.get('/stranger/own/+simple/secretlib/', {})).status).toBe(status)
    expect((await user.get('/stranger/own/secretlib/1.0')).status).toBe(status)
    const list = await (await user.get('/stranger/own/+simple/', {})).text()
    expect(list.includes('secretlib')).toBe(status === 200)
  }
})

test('nothing is pushed out of it by somebody who may not read it', async () => {
  const head = server.head()
  const release = { name: 'secretlib', version: '1.0' }
  expect((await stranger.post('/owner/private', { ...release, targetindex: 'stranger/own' })).status).toBe(403)
  expect(server.head()).toBe(head)
  expect((await friend.post('/owner/private', { ...release, targetindex: 'friend/own' })).status).toBe(200)
})
