import { createHmac, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express, { type ErrorRequestHandler } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import { issueNodeToken, nodeTokens } from '#server/auth/node-token.js'
import { issueToken } from '#server/auth/tokens.js'
import { sendRefusal } from '#server/http/errors.js'
import { replicasOnly } from '#server/http/replica-access.js'

const SECRET = randomBytes(32)
const NOW = Date.UTC(2026, 4, 4, 9)
const NODE = 'ab'.repeat(16)
const OTHER = 'cd'.repeat(16)

const app = express()
app.get('/', replicasOnly({ nodeTokens: nodeTokens(SECRET, () => NOW) }, (_, res) => void res.end('the log')))
const answerErrors: ErrorRequestHandler = (error: unknown, req, res, _next) => {
  if (!(error instanceof Refusal)) throw error
  sendRefusal(req, res, error)
}
app.use(answerErrors)
const server = createServer(app)
beforeAll(() => once(server.listen(0, '127.0.0.1'), 'listening'))
afterAll(() => {
  server.close()
  server.closeAllConnections()
})

async function ask(headers: Readonly<Record<string, string>>): Promise<{ status: number; body: string; challenge: string | null }> {
  const reply = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, { headers: { Accept: 'application/json', ...headers } })
  return { status: reply.status, body: await reply.text(), challenge: reply.headers.get('WWW-Authenticate') }
}

const token = (node: string, { at = NOW, secret = SECRET } = {}): string => `Bearer ${issueNodeToken(secret, node, at)}`
const named = (node: string): Record<string, string> => ({ 'X-DEVPI-REPLICA-UUID': node })
const basic = (user: string, password: string): string => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
const login = (user: string): string => issueToken(SECRET, { user, credential: 'c1' }, NOW)

test.each([
  ['of now', NOW],
  ['of a clock that is 10 minutes behind', NOW - 600_000],
  ['of a clock that is 10 minutes ahead', NOW + 600_000],
])('a replica with a token %s gets through', async (_, at) => {
  expect(await ask({ ...named(NODE), Authorization: token(NODE, { at }) })).toMatchObject({ status: 200, body: 'the log' })
})

test.each<[string, Record<string, string>]>([
  ['nothing', {}],
  ['the name of a replica alone', named(NODE)],
])('with %s it is 401', async (_, headers) => {
  const { status, body, challenge } = await ask(headers)
  expect([status, challenge]).toEqual([401, 'Bearer realm="replication"'])
  expectSentence(body)
})

test.each<[string, Record<string, string>]>([
  ['no name beside the token', { Authorization: token(NODE) }],
  ['an empty name', { ...named(''), Authorization: token(NODE) }],
  ['the name of another replica', { ...named(OTHER), Authorization: token(NODE) }],
  ['a token from before', { ...named(NODE), Authorization: token(NODE, { at: NOW - 901_000 }) }],
  ['a token from later', { ...named(NODE), Authorization: token(NODE, { at: NOW + 901_000 }) }],
  ['a token of another secret', { ...named(NODE), Authorization: token(NODE, { secret: randomBytes(32) }) }],
  ['a broken token', { ...named(NODE), Authorization: token(NODE).slice(0, -1) }],
  ['an empty token', { ...named(NODE), Authorization: 'Bearer ' }],
  ['two tokens', { ...named(NODE), Authorization: `${token(NODE)} ${token(NODE)}` }],
  ['the token in another scheme', { ...named(NODE), Authorization: token(NODE).replace('Bearer', 'Token') }],
  ['the token as a password', { ...named(NODE), Authorization: basic(NODE, token(NODE).slice('Bearer '.length)) }],
  ['the token in the header of users', { ...named(NODE), 'X-Devpi-Auth': Buffer.from(`:${token(NODE)}`).toString('base64') }],
  ['a user beside the token', { ...named(NODE), Authorization: token(NODE), 'X-Devpi-Auth': Buffer.from(`root:${login('root')}`).toString('base64') }],
  ['a login token of root', { ...named(NODE), Authorization: `Bearer ${login('root')}` }],
  ['a login token of a user', { ...named(NODE), 'X-Devpi-Auth': Buffer.from(`nina:${login('nina')}`).toString('base64') }],
  ['a login token of a user called as the node', { ...named(NODE), Authorization: `Bearer ${login(NODE)}` }],
  ['the password of root', { ...named(NODE), Authorization: basic('root', '') }],
  ['an API token', { ...named(NODE), Authorization: `Bearer devpi-${createHmac('sha256', SECRET).digest('base64url')}` }],
  ['the user +replica', { ...named(NODE), Authorization: basic('+replica', 'secret') }],
])('with %s it is 403', async (_, headers) => {
  const { status, body } = await ask(headers)
  expect(status).toBe(403)
  expectSentence(body)
})

function expectSentence(body: string): void {
  const envelope = JSON.parse(body) as Record<string, unknown>
  expect(Object.keys(envelope)).toEqual(['message'])
  expect(envelope['message']).toMatch(/^[^\n]{20,150}$/)
}
