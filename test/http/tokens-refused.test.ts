import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

let server: TestServer
let alice: TestUser
let olga: TestUser
beforeAll(async () => {
  server = await startServer({ now: () => Date.UTC(2026, 4, 4, 12) })
  alice = await server.signUp('alice', { dev: {} })
  olga = await server.signUp('olga')
})
afterAll(() => server[Symbol.asyncDispose]())

test.each<[string, () => Promise<Response>, number, string]>([
  ['a list by somebody else', () => olga.get('/alice/+tokens'), 403, 'no permission to see or change API tokens of user alice'],
  ['a look by somebody else', () => olga.get('/alice/+tokens/0123456789abcdef'), 403, 'no permission to see or change API tokens of user alice'],
  ['a token for somebody else', () => olga.post('/alice/+tokens', {}), 403, 'no permission to see or change API tokens of user alice'],
  ['a revocation by somebody else', () => olga.delete('/alice/+tokens/0123456789abcdef'), 403, 'no permission to see or change API tokens of user alice'],
  ['a list by nobody', () => server.fetch('/alice/+tokens', { headers: { Accept: 'application/json' } }), 401, 'login required, or the credentials were not accepted'],
  ['a token for nobody', () => server.fetch('/alice/+tokens', { method: 'POST', body: '{}' }), 401, 'login required, or the credentials were not accepted'],
  ['an unknown user', async () => (await server.root()).get('/nobody/+tokens'), 404, "no user 'nobody'"],
  ['a token for an unknown user', async () => (await server.root()).post('/nobody/+tokens', { name: 'x', actions: ['read'], indexes: ['*'] }), 404, "no user 'nobody'"],
  ['an id that is none', () => alice.get('/alice/+tokens/.config'), 404, "user 'alice' has no API token '.config'"],
  ['another method', () => alice.put('/alice/+tokens', {}), 405, 'PUT is not possible here, only GET, HEAD, POST'],
  ['another method on one', () => alice.patch('/alice/+tokens/0123456789abcdef', {}), 405, 'PATCH is not possible here, only GET, HEAD, DELETE'],
  ['a page', () => alice.get('/alice/+tokens', { Accept: 'text/html' }), 404, ''],
  ['a user called __token__', () => server.fetch('/__token__', { method: 'PUT', body: '{"password": "x"}' }), 400, "username '__token__' stands for whoever shows an API token"],
])('%s is refused', async (_, ask, status, message) => {
  const head = server.head()
  const reply = await ask()
  const text = await reply.text()
  expect(reply.status).toBe(status)
  if (message !== '') expect((JSON.parse(text) as { message: string }).message).toBe(message)
  expect(server.head()).toBe(head)
})

const ACTIONS = 'actions must be some of read, upload, delete, admin'
const INDEXES = 'indexes must name 1 to 100 indexes as user/index, or be ["*"] for all of them'
const NAME = 'name must be 1 to 100 visible characters, such as what the token is for'
const EXPIRES = 'expires must be a date or moment such as 2030-01-31 or 2030-01-31T12:00:00Z'

test.each<[string, unknown, string]>([
  ['no object', [], 'Bad request: the body must be a JSON object'],
  ['no name', { name: undefined }, 'an API token needs a name, as a text'],
  ['a name that is no text', { name: 7 }, 'an API token needs a name, as a text'],
  ['an empty name', { name: ' ' }, NAME],
  ['a name too long', { name: 'x'.repeat(101) }, NAME],
  ['a line break in the name', { name: 'a\nb' }, NAME],
  ['a name that turns its reader around', { name: 'a\u202eb' }, NAME],
  ['no actions', { actions: undefined }, 'an API token needs actions, as a list of texts'],
  ['actions that are no list', { actions: 'read' }, 'an API token needs actions, as a list of texts'],
  ['a number among the actions', { actions: ['read', 1] }, 'an API token needs actions, as a list of texts'],
  ['an empty list of actions', { actions: [] }, ACTIONS],
  ['an unknown action', { actions: ['read', 'push'] }, `${ACTIONS}, not 'push'`],
  ['no indexes', { indexes: undefined }, 'an API token needs indexes, as a list of texts'],
  ['an empty list of indexes', { indexes: [] }, INDEXES],
  ['too many indexes', { indexes: Array.from({ length: 101 }, (_, at) => `alice/i${at}`) }, INDEXES],
  ['an index without its user', { indexes: ['dev'] }, "indexes must be named as user/index, not 'dev'"],
  ['a slash too many', { indexes: ['alice/dev/'] }, "indexes must be named as user/index, not 'alice/dev/'"],
  ['a star beside others', { indexes: ['*', 'alice/dev'] }, '"*" stands for all indexes, so it must stand alone'],
  ['a star in a name', { indexes: ['alice/*'] }, "indexname '*' contains characters that aren't allowed. Any ascii symbol besides -.@_ is blocked."],
  ['an end in the past', { expires: '2026-05-04T12:00:00Z' }, 'expires must be in the future'],
  ['an end that is a number', { expires: 1e12 }, EXPIRES],
  ['an end in words', { expires: 'tomorrow' }, EXPIRES],
  ['an end in local time', { expires: '2030-01-31T12:00:00' }, EXPIRES],
  ['a day that is none', { expires: '2030-02-31' }, EXPIRES],
  ['an hour that is none', { expires: '2030-01-31T25:00:00Z' }, EXPIRES],
  ['an unknown field', { scope: 'all' }, 'unknown fields of an API token: scope'],
])('%s makes no token', async (_, body, message) => {
  const head = server.head()
  const wanted = Array.isArray(body) ? body : { name: 'ci', actions: ['read'], indexes: ['alice/dev'], ...(body as object) }
  const reply = await alice.post('/alice/+tokens', wanted)
  expect([reply.status, await reply.json()]).toEqual([400, { message }])
  expect(server.head()).toBe(head)
})
