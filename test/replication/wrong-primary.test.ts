import { once } from 'node:events'
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CHANGELOG_TYPE, heartbeatFrame } from '#log-format/framing.js'
import { toSerial } from '#log-format/serial.js'
import { caughtUp, startReplica, until } from '#test/support/replica.js'
import { startServer, type TestServer } from '#test/support/server.js'

type Answer = (req: IncomingMessage, res: ServerResponse) => void

/** Stands at the address of a primary, and answers some of what it is asked in its place. */
async function startImpostor(primary: TestServer, answers: Map<string, Answer>): Promise<AsyncDisposable & { readonly url: string; readonly asked: string[] }> {
  const asked: string[] = []
  const server = createServer((req, res) => {
    const { url = '', method, headers } = req
    asked.push(url)
    const answer = [...answers].find(([path]) => url.startsWith(path))?.[1]
    if (answer !== undefined) return answer(req, res)
    const passed = httpRequest(`${primary.url}${url}`, { ...(method !== undefined && { method }), headers: { ...headers, connection: 'close' } }, (reply) => {
      res.writeHead(reply.statusCode ?? 0, reply.rawHeaders)
      reply.pipe(res)
    })
    passed.on('error', () => res.destroy())
    res.on('close', () => passed.destroy())
    req.pipe(passed)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    asked,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

let primary: TestServer
beforeAll(async () => {
  primary = await startServer({ feed: { streamMs: 100 } })
  await primary.signUp('ada')
})
afterAll(() => primary[Symbol.asyncDispose]())

function asked(impostor: { readonly asked: readonly string[] }, path: string): number {
  return impostor.asked.filter((url) => url.startsWith(path)).length
}

/** Resolves when the secret of a user is at a replica. */
async function secretIsAt(replica: TestServer): Promise<void> {
  const reply = await replica.fetch('/+login', { method: 'POST', body: '{"user": "ada", "password": "ada secret"}' })
  const { result } = (await reply.json()) as { result: { password: string } }
  const auth = Buffer.from(`ada:${result.password}`).toString('base64')
  await until(async () => {
    const known = await replica.fetch('/+api', { headers: { Accept: 'application/json', 'X-Devpi-Auth': auth } })
    return ((await known.json()) as { result: { authstatus: string[] } }).result.authstatus[0] === 'ok'
  })
}

test('how far the primary is, is what it said last', async () => {
  const far = toSerial(2 ** 50)
  const answers = new Map<string, Answer>([['/+changelog', (_, res) => {
    const uuid = primary.running.storage.nodeId
    res.writeHead(200, { 'Content-Type': CHANGELOG_TYPE, 'X-DEVPI-UUID': uuid, 'X-DEVPI-PRIMARY-UUID': uuid, 'X-DEVPI-SERIAL': far })
    res.end(heartbeatFrame({ head: far, time: Date.now() }))
  }]])
  await using impostor = await startImpostor(primary, answers)
  await using replica = await startReplica(primary, {}, impostor.url)
  await until(() => replica.running.follower!.status.primarySerial === far)
  answers.clear()
  await caughtUp(replica, primary)
  await until(() => replica.running.follower!.status.lag.serials === 0)
  expect(replica.running.follower!.status.lag).toEqual({ serials: 0, seconds: 0 })
})

test('what entries that are not here may have changed is asked for when they come', async () => {
  const answers = new Map<string, Answer>([['/+vault', (_, res) => { res.writeHead(200).end(`{"serial":${2 ** 50},"complete":false}\n{"end":true}\n`) }]])
  await using impostor = await startImpostor(primary, answers)
  await using replica = await startReplica(primary, {}, impostor.url)
  await caughtUp(replica, primary)
  await until(() => replica.running.storage.secretsSerial === replica.head())
  answers.clear()
  const cleo = await primary.signUp('cleo', { dev: { acl_read: ['cleo'] } })
  await caughtUp(replica, primary)
  await until(async () => (await replica.fetch('/cleo/dev', { headers: { Accept: 'application/json', 'X-Devpi-Auth': cleo.auth } })).status === 200)
})

test('a node that is behind with its secrets is not asked for them all the time', async () => {
  const answers = new Map<string, Answer>([['/+vault', (_, res) => { res.writeHead(200).end('{"serial":0,"complete":true}\n{"end":true}\n') }]])
  await using impostor = await startImpostor(primary, answers)
  await using replica = await startReplica(primary, {}, impostor.url)
  await caughtUp(replica, primary)
  const begun = performance.now()
  await until(() => asked(impostor, '/+vault') > 5)
  expect(performance.now() - begun).toBeGreaterThan(10 + 20 + 40 + 80)
})

test('a primary that cuts off every reply is not asked all the time', async () => {
  const uuid = primary.running.storage.nodeId
  const answers = new Map<string, Answer>([['/+changelog', (_, res) => {
    res.writeHead(200, { 'Content-Type': CHANGELOG_TYPE, 'X-DEVPI-UUID': uuid, 'X-DEVPI-PRIMARY-UUID': uuid, 'X-DEVPI-SERIAL': '-1' })
    res.end(heartbeatFrame({ head: toSerial(-1), time: Date.now() }))
  }]])
  await using impostor = await startImpostor(primary, answers)
  await using replica = await startReplica(primary, { follower: { firstPauseMs: 100 } }, impostor.url)
  await until(() => replica.running.follower!.status.state === 'following')
  const begun = performance.now()
  const before = asked(impostor, '/+changelog')
  await until(() => asked(impostor, '/+changelog') > before + 4)
  expect(performance.now() - begun).toBeGreaterThan(3 * 100)
})

test('an error of something in between is no reason to follow no more', async () => {
  const answers = new Map<string, Answer>()
  await using impostor = await startImpostor(primary, answers)
  await using replica = await startReplica(primary, {}, impostor.url)
  await caughtUp(replica, primary)
  answers.set('/+changelog', (_, res) => { res.writeHead(400, { 'Content-Type': 'text/html' }).end('<h1>Bad Request</h1>') })
  await until(() => replica.running.follower!.status.problem !== undefined)
  expect(replica.running.follower!.status).toMatchObject({ state: 'connecting', problem: 'it answers 400' })
  answers.clear()
  await primary.signUp('bea')
  await caughtUp(replica, primary)
})

test.each([
  ['secrets that come in part', 200, '{"serial":0,"complete":true}\n'],
  ['a refusal that comes in part', 503, '{"message":'],
])('%s are not waited for without end', async (_, status, part) => {
  let stalled = 0
  const answers = new Map<string, Answer>([['/+vault', (_req, res) => {
    stalled += 1
    res.writeHead(status)
    res.write(part)
  }]])
  await using impostor = await startImpostor(primary, answers)
  await using replica = await startReplica(primary, { follower: { silenceMs: 200 } }, impostor.url)
  await until(() => stalled > 0)
  answers.clear()
  await secretIsAt(replica)
  expect(replica.log.join('\n')).toContain('it sends nothing any more')
})

test.each([
  ['a short page', '/+changelog', '<html>'],
  ['a long page', '/+changelog', '<html>'.repeat(1e5)],
  ['a short page', '/+vault', '<html>'],
  ['a long page', '/+vault', '<html>\n'.repeat(1e5)],
  ['secrets of too early', '/+vault', `{"serial":-1,"complete":false}\n${'["a",1]\n'.repeat(1e5)}{"end":true}\n`],
])('%s in answer to %s takes no connection away', async (_, path, body) => {
  const first = await startReplica(primary)
  await caughtUp(first, primary)
  await secretIsAt(first)
  await first.stop()
  const answers = new Map<string, Answer>([[path, (_req, res) => { res.writeHead(200).end(body) }]])
  await using impostor = await startImpostor(primary, answers)
  await using replica = await startReplica(primary, { serverDir: first.serverDir }, impostor.url)
  await until(() => asked(impostor, path) > 1)
  answers.clear()
  await primary.signUp(`user${primary.head()}`)
  await caughtUp(replica, primary)
  await until(() => replica.running.storage.secretsSerial === primary.head())
  await replica.stop()
  await first[Symbol.asyncDispose]()
})
