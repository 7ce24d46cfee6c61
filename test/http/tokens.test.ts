import type { CreatedTokenJson, TokenJson } from '#log-format/api/tokens.js'
import { decodeEntry } from '#log-format/codec.js'
import type { Entry } from '#log-format/entry.js'
import { toSerial } from '#log-format/serial.js'
import { secretNames } from '#server/storage/vault.js'
import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { uploadForm } from '#test/support/upload-form.js'

const START = Date.UTC(2026, 4, 4, 12)
const UNKNOWN = 'this API token is not known here, or was revoked'

let nowMs: number
let server: TestServer
let alice: TestUser
beforeEach(async () => {
  nowMs = START
  server = await startServer({ now: () => nowMs })
  alice = await server.signUp('alice', { dev: { acl_read: ['alice'] }, prod: { acl_read: ['alice'] }, open: {} })
})
afterEach(() => server[Symbol.asyncDispose]())

const bearer = (token: string): Record<string, string> => ({ Authorization: `Bearer ${token}`, Accept: 'application/json' })

async function make(body: object = {}, maker = alice, user = 'alice'): Promise<CreatedTokenJson> {
  const wanted = { name: 'ci', actions: ['read', 'upload'], indexes: ['alice/dev'], ...body }
  const reply = await maker.post(`/${user}/+tokens`, wanted)
  expect(reply.status).toBe(201)
  return ((await reply.json()) as { result: CreatedTokenJson }).result
}

async function list(): Promise<Record<string, TokenJson>> {
  return ((await (await alice.get('/alice/+tokens')).json()) as { result: Record<string, TokenJson> }).result
}

/** Status and sentence of an upload. */
async function upload(token: string, index = 'alice/dev', version = '1.0'): Promise<[number, string]> {
  const reply = await server.fetch(`/${index}/`, { method: 'POST', headers: bearer(token), body: uploadForm(wheel('demo', version)) })
  const text = await reply.text()
  return [reply.status, text === '' ? '' : (JSON.parse(text) as { message: string }).message]
}

async function send(method: string, path: string, token: string, body?: unknown): Promise<[number, string]> {
  const reply = await server.fetch(path, { method, headers: bearer(token), ...(body !== undefined && { body: JSON.stringify(body) }) })
  return [reply.status, ((await reply.json()) as { message?: string }).message ?? '']
}

async function newestEntry(): Promise<Entry> {
  for await (const [stored] of server.running.storage.entries.read(toSerial(server.head()))) {
    if (stored !== undefined) return decodeEntry(stored.bytes)
  }
  throw new Error('the log is empty')
}

test('a token is shown once, listed without its secret, used, and revoked', async () => {
  const reply = await alice.post('/alice/+tokens', { name: 'ci of demo', actions: ['upload', 'read', 'upload'], indexes: ['alice/dev'], expires: '2026-06-01' })
  expect([reply.status, reply.headers.get('cache-control'), reply.headers.get('x-devpi-serial')]).toEqual([201, 'no-store', String(server.head())])
  const made = (await reply.json()) as { type: string; message: string; result: CreatedTokenJson }
  const { token, ...shown } = made.result
  expect(made).toMatchObject({ type: 'tokenconfig', message: 'keep the token, it is not shown again' })
  expect(token).toMatch(/^devpi_/)
  expect(shown).toEqual({
    id: token.split('_')[1],
    user: 'alice',
    name: 'ci of demo',
    actions: ['read', 'upload'],
    indexes: ['alice/dev'],
    created: '2026-05-04T12:00:00Z',
    expires: '2026-06-01T00:00:00Z',
    expired: false,
  })
  const mutation = { kind: 'token-created', user: 'alice', id: shown.id, name: 'ci of demo', actions: ['read', 'upload'], indexes: ['alice/dev'], expires: Date.UTC(2026, 5, 1) }
  const { kind: _kind, user: _user, id: _id, ...stored } = mutation
  expect(await newestEntry()).toMatchObject({ actor: 'alice', mutation, changes: [{ path: `alice/+token/${shown.id}`, value: { ...stored, created: START } }] })

  expect(await list()).toEqual({ [shown.id]: shown })
  expect(await (await alice.get(`/alice/+tokens/${shown.id}`)).json()).toEqual({ type: 'tokenconfig', result: shown })

  expect(await upload(token)).toEqual([200, ''])
  expect(await newestEntry()).toMatchObject({ actor: 'alice', via: 'token', mutation: { kind: 'file-uploaded' } })

  const revoked = await alice.delete(`/alice/+tokens/${shown.id}`)
  expect([revoked.status, await revoked.json()]).toEqual([200, { message: `API token '${shown.id}' (ci of demo) revoked` }])
  expect(await newestEntry()).toMatchObject({ mutation: { kind: 'token-revoked', user: 'alice', id: shown.id, name: 'ci of demo' }, changes: [{ path: `alice/+token/${shown.id}` }] })
  expect(await upload(token)).toEqual([401, UNKNOWN])
  expect(await list()).toEqual({})
  const again = await alice.delete(`/alice/+tokens/${shown.id}`)
  expect([again.status, await again.json()]).toEqual([404, { message: `user 'alice' has no API token '${shown.id}'` }])
})

test.each<[string, (token: string) => Record<string, string>]>([
  ['as bearer', (token) => ({ Authorization: `Bearer ${token}` })],
  ['as password of __token__', (token) => ({ Authorization: `Basic ${btoa(`__token__:${token}`)}` })],
  ['as password of its user', (token) => ({ Authorization: `Basic ${btoa(`alice:${token}`)}` })],
  ['in X-Devpi-Auth', (token) => ({ 'X-Devpi-Auth': btoa(`alice:${token}`) })],
])('a token is accepted %s, and is whom +api names', async (_, carry) => {
  const { token } = await make()
  expect((await server.fetch('/alice/dev/+simple/', { headers: carry(token) })).status).toBe(200)
  const { result } = (await (await server.fetch('/+api', { headers: carry(token) })).json()) as { result: { authstatus: unknown } }
  expect(result.authstatus).toEqual(['ok', 'alice', []])
})

test('a rejected token is challenged where something is kept from everybody, and is nobody where not', async () => {
  const { token } = await make({ expires: '2026-05-04T13:00:00+00:00' })
  expect((await server.fetch('/alice/dev/+simple/', { headers: bearer(token) })).status).toBe(200)
  nowMs = START + 3_600_000
  expect((await list())[token.split('_')[1] ?? '']).toMatchObject({ expired: true })

  const why = 'this API token has expired'
  const reply = await server.fetch('/alice/dev/+simple/', { headers: bearer(token) })
  expect([reply.status, reply.statusText, reply.headers.get('www-authenticate')]).toEqual([401, why, 'Basic realm="pypi"'])
  expect(await upload(token)).toEqual([401, why])
  expect(await send('DELETE', '/alice/dev/demo', token)).toEqual([401, why])
  expect(await send('DELETE', '/alice/dev', token)).toEqual([401, why])
  expect(await send('GET', '/alice/+tokens', token)).toEqual([401, why])
  expect((await server.fetch('/alice/open/+simple/', { headers: bearer(token) })).status).toBe(200)
  const { result } = (await (await server.fetch('/+api', { headers: bearer(token) })).json()) as { result: { authstatus: unknown } }
  expect(result.authstatus).toEqual(['expired', '', []])
})

test('a token that never was, has a wrong secret or was revoked gets one and the same answer', async () => {
  const { token, id } = await make()
  const wrong = token.slice(0, -1) + (token.endsWith('A') ? 'B' : 'A')
  const answers = [await upload(wrong), await upload(`devpi_${'0'.repeat(16)}_${'A'.repeat(43)}`)]
  await alice.delete(`/alice/+tokens/${id}`)
  answers.push(await upload(token), await upload(wrong))
  expect(new Set(answers.map(String))).toEqual(new Set([`401,${UNKNOWN}`]))
})

test('a token does what it is for and nothing else', async () => {
  const { token } = await make()
  expect(await upload(token)).toEqual([200, ''])
  const head = server.head()
  const refused: [string, string, unknown, string][] = [
    ['DELETE', '/alice/dev/demo/1.0', undefined, "this API token is not for the action 'delete'"],
    ['PATCH', '/alice/dev/demo/1.0', { yanked: true }, "this API token is not for the action 'delete'"],
    ['PATCH', '/alice/dev', { title: 'x' }, "this API token is not for the action 'admin'"],
    ['DELETE', '/alice/dev', undefined, "this API token is not for the action 'admin'"],
    ['PUT', '/alice/new', {}, 'this API token is not for the index alice/new'],
    ['PATCH', '/alice', { password: 'mine' }, /for users and tokens/.source],
    ['PATCH', '/alice', { email: 'me@example.com' }, /for users and tokens/.source],
    ['PATCH', '/alice', { revoke_tokens: true }, /for users and tokens/.source],
    ['DELETE', '/alice', undefined, /for users and tokens/.source],
    ['PUT', '/friend', { password: 'x' }, /for users and tokens/.source],
    ['POST', '/alice/+tokens', { name: 'more', actions: ['admin'], indexes: ['*'] }, /for users and tokens/.source],
    ['GET', '/alice/+tokens', undefined, /for users and tokens/.source],
    ['POST', '/alice/dev', { name: 'demo', version: '1.0', targetindex: 'alice/prod' }, 'this API token is not for the index alice/prod'],
  ]
  for (const [method, path, body, why] of refused) {
    expect([method, path, ...(await send(method, path, token, body))]).toEqual([method, path, 403, expect.stringContaining(why)])
  }
  expect(await upload(token, 'alice/prod')).toEqual([403, 'this API token is not for the index alice/prod'])
  expect(await send('GET', '/alice/prod', token)).toEqual([403, 'this API token is not for the index alice/prod'])
  expect(server.head()).toBe(head)
})

test('a token has releases sent to other servers only from an index it may upload to', async () => {
  await alice.upload('open', wheel('demo', '1.0'))
  const push = { name: 'demo', version: '1.0', posturl: 'https://elsewhere.example/' }
  const elsewhere = await make()
  expect(await send('POST', '/alice/open', elsewhere.token, push)).toEqual([403, 'this API token is not for the index alice/open'])
  const reading = await make({ actions: ['read'], indexes: ['alice/open'] })
  expect(await send('POST', '/alice/open', reading.token, push)).toEqual([403, "this API token is not for the action 'upload'"])
  const fit = await make({ indexes: ['alice/open'] })
  expect(await send('POST', '/alice/open', fit.token, { ...push, version: '9.0' })).toEqual([400, 'there are no files for demo 9.0 on stage alice/open'])
})

test('a private base is passed over by a token that is not for it', async () => {
  await alice.upload('prod', wheel('below', '1.0'))
  await alice.patch('/alice/dev', ['bases=alice/prod,alice/open'])
  await alice.upload('open', wheel('shown', '1.0'))
  const narrow = await make({ actions: ['read'] })
  const wide = await make({ actions: ['read'], indexes: ['alice/dev', 'alice/prod'] })
  const statusOf = async ({ token }: CreatedTokenJson, project: string): Promise<number> =>
    (await server.fetch(`/alice/dev/+simple/${project}/`, { headers: bearer(token) })).status
  for (const _round of [1, 2]) {
    expect([await statusOf(narrow, 'below'), await statusOf(wide, 'below')]).toEqual([404, 200])
    expect([await statusOf(narrow, 'shown'), await statusOf(wide, 'shown')]).toEqual([200, 200])
  }
})

test('what is shown beyond indexes is for people, or for tokens with all their rights', async () => {
  await alice.patch('/alice', { email: 'alice@example.com' })
  const shown = async (token: string): Promise<unknown[]> => {
    const headers = bearer(token)
    const { result: user } = (await (await server.fetch('/alice', { headers })).json()) as { result: { email?: string; indexes: object } }
    const check = await server.fetch('/+authcheck', { headers: { ...headers, 'X-Original-URI': '/alice/prod/+f/x' } })
    return [user.email, Object.keys(user.indexes), check.status]
  }
  expect(await shown((await make()).token)).toEqual([undefined, ['dev', 'open'], 403])
  expect(await shown((await make({ actions: ['admin'], indexes: ['*'] })).token)).toEqual(['alice@example.com', ['dev', 'open', 'prod'], 200])
})

test('a token for admin on all indexes makes tokens and revokes them', async () => {
  const { token, id } = await make({ actions: ['admin'], indexes: ['*'] })
  const [status] = await send('POST', '/alice/+tokens', token, { name: 'made by a token', actions: ['read'], indexes: ['*'] })
  expect(status).toBe(201)
  expect(await newestEntry()).toMatchObject({ actor: 'alice', via: 'token', mutation: { kind: 'token-created' } })
  expect(await send('DELETE', `/alice/+tokens/${id}`, token)).toEqual([200, `API token '${id}' (ci) revoked`])
  expect(await send('GET', '/alice/+tokens', token)).toEqual([401, UNKNOWN])
})

test('a token of a user brings the rights of no other, and root makes one for a user without password', async () => {
  await (await server.root()).put('/robot', { password: null })
  await alice.patch('/alice/dev', ['acl_upload+=robot'])
  const { token } = await make({ indexes: ['*'], actions: ['read', 'upload', 'delete'] }, await server.root(), 'robot')
  expect(await newestEntry()).toMatchObject({ actor: 'root', mutation: { kind: 'token-created', user: 'robot' } })
  expect(await upload(token)).toEqual([200, ''])
  expect(await newestEntry()).toMatchObject({ actor: 'robot', via: 'token' })
  expect(await upload(token, 'alice/prod')).toEqual([403, 'no permission to submit'])
})

test('tokens outlive a new password unless told otherwise', async () => {
  const { token, id } = await make()
  expect((await alice.patch('/alice', { password: 'new' })).status).toBe(200)
  expect(await upload(token)).toEqual([200, ''])

  const reply = await server.fetch('/alice', { method: 'PATCH', headers: { Authorization: `Basic ${btoa('alice:new')}` }, body: '{"password": "newer", "revoke_tokens": true}' })
  expect(reply.status).toBe(200)
  expect(await newestEntry()).toMatchObject({ mutation: { kind: 'user-modified', user: 'alice', fields: ['password'], revoked: [id] } })
  expect(await upload(token)).toEqual([401, UNKNOWN])
  expect(server.running.storage.vault.get(secretNames.apiToken(id))).toBeUndefined()
})

test('tokens can all be revoked without a new password', async () => {
  const ids = [(await make()).id, (await make()).id].sort()
  expect((await alice.patch('/alice', { revoke_tokens: true })).status).toBe(200)
  expect(await newestEntry()).toMatchObject({ mutation: { kind: 'user-modified', fields: [], revoked: ids } })
  expect(await list()).toEqual({})
  const head = server.head()
  expect((await alice.patch('/alice', { revoke_tokens: true })).status).toBe(200)
  expect(server.head()).toBe(head)
  expect((await alice.patch('/alice', { revoke_tokens: 'yes' })).status).toBe(400)
})

test('tokens go with their user, and no later user of the name gets them', async () => {
  const { token, id } = await make({ indexes: ['*'] })
  expect(server.running.storage.vault.get(secretNames.apiToken(id))).toBeDefined()
  expect((await alice.delete('/alice')).status).toBe(200)
  expect(server.running.storage.vault.get(secretNames.apiToken(id))).toBeUndefined()
  alice = await server.signUp('alice', { dev: {} })
  expect(await upload(token)).toEqual([401, UNKNOWN])
  expect(await list()).toEqual({})
})

test('a token lives on after a restart', async () => {
  const { token } = await make()
  await server.stop()
  await using again = await startServer({ serverDir: server.serverDir })
  expect((await again.fetch('/alice/dev/+simple/', { headers: bearer(token) })).status).toBe(200)
})

test('many wrong tokens from one address are told to wait, a right one is let in', async () => {
  const { token } = await make()
  const wrong = (at: number): string => `devpi_${'0'.repeat(16)}_${String(at).padStart(43, 'x')}`
  for (let at = 0; at < 51; at += 1) expect((await upload(wrong(at)))[0]).toBe(401)
  const [status, message] = await upload(wrong(51))
  expect([status, message]).toEqual([429, 'too many failed logins, try again in 1 second'])
  expect(await upload(token)).toEqual([200, ''])
})
