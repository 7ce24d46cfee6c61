import { connect } from 'node:net'
import { once } from 'node:events'
import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

let server: TestServer
let nina: TestUser
beforeAll(async () => {
  server = await startServer()
  nina = await server.signUp('nina', { dev: {}, prod: { volatile: false } })
  await nina.upload('dev', wheel('demo', '1.0'))
})
afterAll(() => server[Symbol.asyncDispose]())

const deep = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`
const LONG = 'x'.repeat(300)

interface Bad {
  readonly what: string
  readonly method: string
  readonly path: string
  readonly body?: string
  readonly status: number
  readonly says: RegExp
}

const TABLE: readonly Bad[] = [
  { what: 'a user name with a colon', method: 'PUT', path: '/a:b', body: '{"password":"x"}', status: 400, says: /contains characters that aren't allowed/ },
  { what: 'an invisible user name', method: 'PUT', path: '/a%E2%80%8Bb', body: '{"password":"x"}', status: 400, says: /contains characters that aren't allowed/ },
  { what: 'a very long user name', method: 'PUT', path: `/${LONG}`, body: '{"password":"x"}', status: 400, says: /longer than 255 bytes/ },
  { what: 'a user name with a NUL', method: 'PUT', path: '/a%00b', body: '{"password":"x"}', status: 404, says: /could not be found/ },
  { what: 'a user name that is no UTF-8', method: 'PUT', path: '/a%ff', body: '{"password":"x"}', status: 400, says: /not valid UTF-8/ },
  { what: 'a user name with an encoded slash', method: 'PUT', path: '/a%2fb', body: '{"password":"x"}', status: 404, says: /could not be found/ },
  { what: 'a user without password', method: 'PUT', path: '/bob', body: '{}', status: 400, says: /password needs to be set/ },
  { what: 'a user with a number as password', method: 'PUT', path: '/bob', body: '{"password":7}', status: 400, says: /password/ },
  { what: 'a user with unknown fields', method: 'PUT', path: '/bob', body: '{"password":"x","admin":true}', status: 400, says: /Unknown keys in user config: admin/ },
  { what: 'a user that is there', method: 'PUT', path: '/nina', body: '{"password":"x"}', status: 409, says: /already exists/ },
  { what: 'no body at all', method: 'PUT', path: '/nina/new', body: '', status: 400, says: /./ },
  { what: 'a body that is no JSON', method: 'PUT', path: '/nina/new', body: '{"a":', status: 400, says: /could not decode json/ },
  { what: 'a list where an object is wanted', method: 'PUT', path: '/nina/new', body: '[]', status: 400, says: /object/ },
  { what: 'JSON of 10,000 levels', method: 'PUT', path: '/nina/new', body: `{"title":${deep(10_000)}}`, status: 400, says: /deep|nested|levels/ },
  { what: 'JSON of 20 MB', method: 'PUT', path: '/nina/new', body: `{"title":"${'x'.repeat(20_000_000)}"}`, status: 413, says: /larger than/ },
  { what: 'the name of a prototype', method: 'PUT', path: '/nina/new', body: '{"__proto__":{"volatile":false}}', status: 400, says: /cannot be stored, "__proto__"/ },
  { what: 'the name of a method that packers call', method: 'PATCH', path: '/nina/dev', body: '{"custom_data":{"toJSON":1}}', status: 400, says: /cannot be stored, "toJSON"/ },
  { what: 'a base with a NUL', method: 'PATCH', path: '/nina/dev', body: '{"bases":["a\\u0000/b"]}', status: 400, says: /invalid base index spec/ },
  { what: 'an operation on bases with a NUL', method: 'PATCH', path: '/nina/dev', body: '["bases+=a/\\u0000b"]', status: 400, says: /invalid base index spec/ },
  { what: 'settings of wrong types', method: 'PUT', path: '/nina/new', body: '{"volatile":"maybe","bases":7}', status: 400, says: /Unknown boolean value 'maybe'\., Unknown list value 7\./ },
  { what: 'bases that are not there', method: 'PUT', path: '/nina/new', body: '{"bases":"nina/nope"}', status: 400, says: /base index 'nina\/nope' does not exist/ },
  { what: 'an unknown type', method: 'PUT', path: '/nina/new', body: '{"type":"magic"}', status: 400, says: /unknown index type 'magic'/ },
  { what: 'a mirror of a file', method: 'PUT', path: '/nina/new', body: '{"type":"mirror","mirror_url":"file:///etc/passwd"}', status: 400, says: /must be a URL/ },
  { what: 'an index name with a space', method: 'PUT', path: '/nina/a%20b', body: '{}', status: 400, says: /indexname 'a b' contains characters/ },
  { what: 'an index of nobody', method: 'PUT', path: '/nobody/dev', body: '{}', status: 404, says: /no user 'nobody'/ },
  { what: 'operations that are no texts', method: 'PATCH', path: '/nina/dev', body: '[7]', status: 400, says: /operation must be a string/ },
  { what: 'taking away what always has a value', method: 'PATCH', path: '/nina/dev', body: '["bases-="]', status: 400, says: /Default values can't be removed/ },
  { what: 'a text as changes', method: 'PATCH', path: '/nina/dev', body: '"volatile=False"', status: 400, says: /object of settings or a list/ },
  { what: 'a yank that is neither yes nor a reason', method: 'PATCH', path: '/nina/dev/demo/1.0', body: '{"yanked":7}', status: 400, says: /yank/ },
  { what: 'a yank of what is not there', method: 'PATCH', path: '/nina/dev/demo/9.9', body: '{"yanked":true}', status: 404, says: /'9\.9'/ },
  { what: 'a version of a project that is not there', method: 'DELETE', path: '/nina/dev/nope/1.0', status: 404, says: /nope/ },
  { what: 'a file that is not there', method: 'DELETE', path: '/nina/dev/+f/abc/0123456789abc/x.whl', status: 404, says: /doesn't exist/ },
  { what: 'a path that climbs', method: 'GET', path: '/nina/dev/+f/..%2f..%2f.secret', status: 404, says: /no such file/ },
  { what: 'a path that climbs, encoded twice', method: 'GET', path: '/nina/dev/+f/%252e%252e/%252e%252e/.secret', status: 404, says: /no such file/ },
  { what: 'a serial that is to come', method: 'GET', path: '/nina/dev/+at/999999/+simple/', status: 404, says: /serial/ },
  { what: 'a serial that is none', method: 'GET', path: '/nina/dev/+at/-1/+simple/', status: 404, says: /./ },
  { what: 'a serial beyond all numbers', method: 'GET', path: `/nina/dev/+at/${'9'.repeat(400)}/+simple/`, status: 404, says: /./ },
  { what: 'a method that is not there', method: 'DELETE', path: '/+status', status: 405, says: /only GET, HEAD/ },
  { what: 'OPTIONS, also where a page is', method: 'OPTIONS', path: '/alice/dev/simple/hello', status: 405, says: /OPTIONS is not possible here/ },
  { what: 'an address that is not there', method: 'GET', path: '/nina/dev/demo/1.0/and/more', status: 404, says: /could not be found/ },
  { what: 'a login without password', method: 'POST', path: '/+login', body: '{"user":"nina"}', status: 400, says: /no user\/password/ },
  { what: 'a login with an object as user', method: 'POST', path: '/+login', body: '{"user":{},"password":"x"}', status: 400, says: /must be texts/ },
  { what: 'a login with a wrong password', method: 'POST', path: '/+login', body: '{"user":"nina","password":"guess"}', status: 401, says: /could not be authenticated/ },
  { what: 'a push of nothing', method: 'POST', path: '/nina/dev', body: '{}', status: 400, says: /needs the name/ },
  { what: 'a push to itself', method: 'POST', path: '/nina/dev', body: '{"name":"demo","version":"1.0","targetindex":"nina/dev"}', status: 400, says: /where the release already is/ },
  { what: 'a push to nowhere', method: 'POST', path: '/nina/dev', body: '{"name":"demo","version":"1.0","targetindex":"nina/nope"}', status: 404, says: /nina\/nope/ },
]

test.each(TABLE)('$what is refused with $status and one sentence', async ({ method, path, body, status, says }) => {
  const head = server.head()
  const headers = { Accept: 'application/json', 'Content-Type': 'application/json' }
  const reply = await nina.fetch(path, { method, headers, ...(body !== undefined && { body }) })
  expect(reply.status).toBe(status)
  expect(reply.headers.get('content-type')).toBe('application/json')
  const { message } = (await reply.json()) as { message: string }
  expect(message).toMatch(says)
  expect(message).not.toMatch(/\n|\bat .*:\d+:\d+|undefined|\[object/)
  expect(message.length).toBeLessThan(400)
  expect(server.head()).toBe(head)
  expect(server.log.filter((line) => line.includes('"level":"error"'))).toEqual([])
})

/** What a connection gets for raw bytes, up to its end. */
async function raw(text: string): Promise<string> {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  const received: Buffer[] = []
  socket.on('data', (chunk: Buffer) => received.push(chunk))
  socket.write(text, 'latin1')
  await once(socket, 'close')
  return Buffer.concat(received).toString('latin1')
}

test.each([
  ['no request', 'hello\r\n\r\n', /^HTTP\/1\.1 400 /],
  ['a header with a bare CR', 'GET / HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\nConnection: close\r\n\r\n', /^HTTP\/1\.1 400 /],
  ['two lengths', 'POST /+login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}', /^HTTP\/1\.1 400 /],
  ['a length and chunks', 'POST /+login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}', /^HTTP\/1\.1 400 /],
  ['no host', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', /^HTTP\/1\.1 400 /],
  ['headers beyond all measure', `GET / HTTP/1.1\r\nHost: x\r\nA: ${'x'.repeat(100_000)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
  ['a verb that is none', 'SHOVE / HTTP/1.1\r\nHost: x\r\n\r\n', /^HTTP\/1\.1 400 /],
])('%s is refused, and the connection closed', async (_, text, wanted) => {
  expect(await raw(text)).toMatch(wanted)
})

test('a header value that would break its line is not sent on', async () => {
  const reply = await nina.fetch('/nina/dev/+simple/demo', { headers: { 'X-Outside-Url': 'http://evil.example/' } })
  expect(reply.headers.get('location') ?? '').not.toContain('evil') // from a peer that is no trusted proxy
})
