import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

let server: TestServer
let root: TestUser
let alice: TestUser
let bob: TestUser
let carol: TestUser
/** Path of the file on alice's closed index. */
let file: string

beforeAll(async () => {
  let time = Date.UTC(2026, 0, 1)
  server = await startServer({ now: () => (time += 1) })
  root = await server.root()
  alice = await server.signUp('alice', { closed: { acl_read: [':readers'], acl_upload: [':writers'], acl_toxresult_upload: [':testers'] } })
  bob = await server.signUp('bob', { own: { bases: ['alice/closed'] } })
  carol = await server.signUp('carol', { own: {} })
  for (const group of ['readers', 'writers', 'testers']) expect((await root.put(`/+groups/${group}`, {})).status).toBe(201)
  await root.upload('alice/closed', wheel('demo', '1.0'))
  const { result } = (await (await root.get('/alice/closed/demo/1.0')).json()) as { result: { '+links': { href: string }[] } }
  file = new URL(result['+links'][0]!.href).pathname
})
afterAll(() => server[Symbol.asyncDispose]())
afterEach(async () => {
  for (const group of ['readers', 'writers', 'testers']) await root.patch(`/+groups/${group}`, { members: [] })
})

async function members(group: string): Promise<unknown> {
  const { result } = (await (await root.get(`/+groups/${group}`)).json()) as { result: { members: string[] } }
  return result.members
}

let uploads = 0
const ACTIONS = {
  page: (who: TestUser) => who.get('/alice/closed/+simple/demo/', {}),
  file: (who: TestUser) => who.get(file, {}),
  upload: (who: TestUser) => who.upload('alice/closed', wheel('demo', `2.${(uploads += 1)}`)),
  push: (who: TestUser) => who.post('/alice/closed', { name: 'demo', version: '1.0', targetindex: 'bob/own' }),
  'test report': (who: TestUser) => who.post(file, { testenvs: {} }),
  settings: (who: TestUser) => who.patch('/alice/closed', { title: 'mine' }),
} as const
type ActionName = keyof typeof ACTIONS

// caller × action × group. carol is nobody to the index but for her groups.
test.each<[string, ActionName, number]>([
  ['', 'page', 403],
  ['', 'file', 403],
  ['', 'upload', 403],
  ['', 'push', 403],
  ['', 'test report', 403],
  ['', 'settings', 403],
  ['readers', 'page', 200],
  ['readers', 'file', 200],
  ['readers', 'upload', 403],
  ['readers', 'push', 403], // may read it, but not upload to bob's index
  ['readers', 'test report', 403],
  ['readers', 'settings', 403],
  ['writers', 'page', 200],
  ['writers', 'file', 200],
  ['writers', 'upload', 200],
  ['writers', 'test report', 403],
  ['writers', 'settings', 403],
  ['testers', 'page', 403],
  ['testers', 'upload', 403],
])('a member of "%s" asks for %s: %i', async (group, action, status) => {
  if (group !== '') await root.patch(`/+groups/${group}`, ['members+=carol'])
  expect((await ACTIONS[action](carol)).status).toBe(status)
  if (group !== '') await root.patch(`/+groups/${group}`, ['members-=carol'])
  expect((await ACTIONS[action](carol)).status).toBe(403) // at once
})

test('a tester who may read may attach a report', async () => {
  for (const group of ['readers', 'testers']) await root.patch(`/+groups/${group}`, ['members+=carol'])
  expect((await carol.post(file, { testenvs: {} })).status).toBe(200)
})

test('an index that inherits follows the groups, also with what was cached before', async () => {
  const page = (who: TestUser, headers = {}): Promise<Response> => who.get('/bob/own/+simple/demo/', headers)
  expect((await page(bob)).status).toBe(404)
  await root.patch('/+groups/readers', ['members+=bob'])
  const reply = await page(bob)
  expect([reply.status, (await server.fetch('/bob/own/+simple/demo/')).status]).toEqual([200, 404])
  const head = { 'If-None-Match': reply.headers.get('etag')! }
  expect((await page(bob, head)).status).toBe(304)
  await root.patch('/+groups/readers', ['members-=bob'])
  expect((await page(bob, head)).status).toBe(404)
  for (const path of ['/alice/closed/+simple/demo/', file]) {
    expect((await server.fetch(path)).status).toBe(401)
    expect((await bob.get(path, {})).status).toBe(403)
  }
})

test('+api and +authcheck know the groups of the caller', async () => {
  const asked = async (): Promise<unknown> => ((await (await carol.get('/+api')).json()) as { result: { authstatus: unknown } }).result.authstatus
  const check = async (): Promise<number> => (await carol.get('/+authcheck', { 'X-Original-URI': '/alice/closed/+simple/' })).status
  expect([await asked(), await check()]).toEqual([['ok', 'carol', []], 403])
  for (const group of ['writers', 'readers']) await root.patch(`/+groups/${group}`, ['members+=carol'])
  expect([await asked(), await check()]).toEqual([['ok', 'carol', ['readers', 'writers']], 200])
})

test('an API token does less than its user may by a group, never more', async () => {
  await root.patch('/+groups/writers', ['members+=carol'])
  const tokenFor = async (actions: string[]): Promise<string> => {
    const reply = await carol.post('/carol/+tokens', { name: 'ci', actions, indexes: ['alice/closed'] })
    return ((await reply.json()) as { result: { token: string } }).result.token
  }
  const status = async (token: string): Promise<number> => (await server.fetch(file, { headers: { Authorization: `Bearer ${token}` } })).status
  const [reads, uploads] = [await tokenFor(['read']), await tokenFor(['upload'])]
  expect([await status(reads), await status(uploads)]).toEqual([200, 403])
  await root.patch('/+groups/writers', ['members-=carol'])
  expect(await status(reads)).toBe(403)
})

test('groups are made, shown, changed and ended', async () => {
  const head = server.head()
  const made = await root.put('/+groups/devs', { members: ['bob', 'alice', 'bob'] })
  expect([made.status, await made.json()]).toMatchObject([201, { type: 'groupconfig', result: { name: 'devs', members: ['alice', 'bob'] } }])
  expect(await (await root.get('/+groups')).json()).toMatchObject({ type: 'list:groupconfig', result: { devs: { name: 'devs' }, readers: { name: 'readers' } } })
  const changes: [unknown, string[]][] = [
    [['members+=carol', 'members-=bob'], ['alice', 'carol']],
    [['members=bob, carol', 'members+=bob'], ['bob', 'carol']],
    [{ members: ['carol'] }, ['carol']],
  ]
  for (const [change, expected] of changes) {
    expect((await root.patch('/+groups/devs', change)).status).toBe(200)
    expect(await members('devs')).toEqual(expected)
  }
  expect((await root.patch('/+groups/devs', ['members+=carol'])).status).toBe(200)
  expect(server.head()).toBe(head + 4) // what changes nothing leaves no entry
  expect((await root.delete('/+groups/devs/')).status).toBe(200)
  expect((await root.get('/+groups/devs')).status).toBe(404)
  const { result } = (await (await root.get(`/+changes?since=${head}`)).json()) as { result: { changes: { mutation: object }[] } }
  expect(result.changes.map(({ mutation }) => mutation)).toEqual([
    { kind: 'group-created', group: 'devs', members: ['bob', 'alice'] },
    { kind: 'group-modified', group: 'devs', added: ['carol'], removed: ['bob'] },
    { kind: 'group-modified', group: 'devs', added: ['bob'], removed: ['alice'] },
    { kind: 'group-modified', group: 'devs', added: [], removed: ['bob'] },
    { kind: 'group-deleted', group: 'devs', members: ['carol'] },
  ])
  for (const who of [alice, carol]) expect(await (await who.get(`/+changes?since=${head}`)).json()).toMatchObject({ result: { changes: [] } })
})

const LONG = 'x'.repeat(256)
test.each<[string, string, string, unknown, number, RegExp]>([
  ['a user', 'PUT', 'devs', {}, 403, /no permission to see or change groups/],
  ['a user', 'PATCH', 'readers', ['members+=alice'], 403, /no permission/],
  ['a user', 'DELETE', 'readers', undefined, 403, /no permission/],
  ['a user', 'GET', 'readers', undefined, 403, /no permission/],
  ['a user', 'GET', '', undefined, 403, /no permission/],
  ['nobody', 'PUT', 'devs', {}, 401, /login required/],
  ['nobody', 'GET', 'readers', undefined, 401, /login required/],
  ['root', 'PUT', 'readers', {}, 409, /group 'readers' exists/],
  ['root', 'PUT', 'anonymous', {}, 400, /too much like/],
  ['root', 'PUT', 'Authenticated', {}, 400, /too much like/],
  ['root', 'PUT', 'a:b', {}, 400, /groupname 'a:b' contains characters/],
  ['root', 'PUT', 'a%2Fb', {}, 404, /./],
  ['root', 'PUT', 'a+b', {}, 404, /./],
  ['root', 'PUT', LONG, {}, 400, /longer than 255 bytes/],
  ['root', 'PUT', '__proto__', {}, 400, /__proto__/],
  ['root', 'PUT', 'devs', { members: ['nobody'] }, 400, /there is no user 'nobody'/],
  ['root', 'PUT', 'devs', { members: ['a/b\0'] }, 400, /there is no user/],
  ['root', 'PUT', 'devs', { members: 'alice' }, 400, /must be a list/],
  ['root', 'PUT', 'devs', { members: [1] }, 400, /must be a list/],
  ['root', 'PUT', 'devs', { member: ['alice'] }, 400, /unknown fields of a group: member/],
  ['root', 'PUT', 'devs', [], 400, /must be a JSON object/],
  ['root', 'PUT', 'devs', { members: Array.from({ length: 1001 }, (_, at) => `u${at}`) }, 400, /1001 members; 1000 is the most/],
  ['root', 'PATCH', 'readers', ['members-=alice'], 400, /'alice' is no member/],
  ['root', 'PATCH', 'readers', ['members+=alice', 'members+=nobody'], 400, /there is no user 'nobody'/],
  ['root', 'PATCH', 'readers', ['members+='], 400, /an operation on a group/],
  ['root', 'PATCH', 'readers', ['title=x'], 400, /an operation on a group/],
  ['root', 'PATCH', 'readers', [1], 400, /an operation on a group/],
  ['root', 'PATCH', 'readers', {}, 400, /a group is changed by/],
  ['root', 'PATCH', 'none', ['members+=alice'], 404, /no group 'none'/],
  ['root', 'DELETE', 'none', undefined, 404, /no group 'none'/],
  ['root', 'GET', 'none', undefined, 404, /no group 'none'/],
  ['root', 'POST', 'readers', {}, 405, /not possible here/],
])('case %#: %s is refused %s of "%.20s"', async (who, method, group, body, status, message) => {
  const head = server.head()
  const from = who === 'root' ? root : who === 'nobody' ? server : alice
  const reply = await from.fetch(`/+groups/${group}`, { method, headers: { Accept: 'application/json' }, ...(body !== undefined && { body: JSON.stringify(body) }) })
  expect([reply.status, await reply.text()]).toEqual([status, expect.stringMatching(message)])
  expect(server.head()).toBe(head)
})

test('a setting names so many groups and no more', async () => {
  const groups = (count: number): string[] => Array.from({ length: count }, (_, at) => `:group${at}`)
  expect((await bob.patch('/bob/own', { acl_upload: ['bob', ...groups(100)] })).status).toBe(200)
  const reply = await bob.patch('/bob/own', { acl_read: groups(101) })
  expect([reply.status, await reply.text()]).toEqual([400, expect.stringContaining('acl_read may name 100 groups at most')])
})

test('a user who goes leaves the groups in the same entry, and comes back to those that are still the same', async () => {
  const dora = await server.signUp('dora', {})
  for (const group of ['stays', 'goes', 'again']) await root.put(`/+groups/${group}`, { members: ['dora', 'alice'] })
  const deleted = await root.delete('/dora')
  expect(server.head()).toBe(Number(deleted.headers.get('x-devpi-serial')))
  for (const group of ['stays', 'goes', 'again']) expect(await members(group)).toEqual(['alice'])
  await server.signUp('dora')
  expect(await members('stays')).toEqual(['alice']) // another one of that name
  await root.delete('/dora')
  for (const group of ['goes', 'again']) await root.delete(`/+groups/${group}`)
  await root.put('/+groups/again', { members: ['alice'] })
  const undone = await root.post('/+undo', { serial: Number(deleted.headers.get('x-devpi-serial')) })
  expect(undone.status).toBe(200)
  expect([await members('stays'), await members('again'), (await root.get('/+groups/goes')).status]).toEqual([['alice', 'dora'], ['alice'], 404])
  expect((await dora.get('/+api')).status).toBe(200)
})

test('a group of managers gets its first member from root, and then manages', async () => {
  await using closed = await startServer({ config: { restrictModify: [':admins'] } })
  const operator = await closed.root()
  const create = (who: TestUser, user: string): Promise<Response> => who.put(`/${user}`, { password: 'secret words' })
  expect((await create(operator, 'erin')).status).toBe(403)
  expect((await operator.put('/+groups/admins', { members: ['root'] })).status).toBe(201)
  expect((await create(operator, 'erin')).status).toBe(201)
  const reply = await closed.fetch('/+login', { method: 'POST', body: JSON.stringify({ user: 'erin', password: 'secret words' }) })
  const { result } = (await reply.json()) as { result: { password: string } }
  const erin = (path: string, method: string, body: unknown): Promise<Response> =>
    closed.fetch(path, { method, body: JSON.stringify(body), headers: { Accept: 'application/json', 'X-Devpi-Auth': Buffer.from(`erin:${result.password}`).toString('base64') } })
  expect((await erin('/erin/dev', 'PUT', {})).status).toBe(403)
  expect((await operator.patch('/+groups/admins', ['members+=erin', 'members-=root'])).status).toBe(200)
  expect([(await erin('/erin/dev', 'PUT', {})).status, (await create(operator, 'finn')).status]).toEqual([200, 403])
  expect((await erin('/+groups/admins', 'PATCH', ['members+=root'])).status).toBe(200)
})
