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
  const login = (): Promise<Response> => replica.fetch('/+login', { method: 'POST', body: '{"user": "ada", "password": "ada secret"}' })
  const { result } = (await (await login()).json()) as { result: { password: string } }
  const auth = Buffer.from(`ada:${result.password}`).toString('base64')
  await until(async () => {
    const reply = await replica.fetch('/+api', { headers: { Accept: 'application/json', 'X-Devpi-Auth': auth } })
    return ((await reply.json()) as { result: { authstatus: string[] } }).result.authstatus[0] === 'ok'
  })
  expect(replica.log.join('\n')).toContain('it sends nothing any more')
})
