import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, request as httpRequest, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { once } from 'node:events'
import { WriteRelay } from '#server/replication/write-relay.js'
import { wheel } from '#test/support/archives.js'
import { caughtUp, startReplica, until } from '#test/support/replica.js'
import { startServer, type TestServer, TestUser } from '#test/support/server.js'
import { startTcpProxy } from '#test/support/tcp-proxy.js'

let primary: TestServer
let replica: TestServer
let second: TestServer
beforeAll(async () => {
  primary = await startServer()
  await primary.signUp('ada', { dev: {}, secret: { acl_read: ['ada'] } })
  replica = await startReplica(primary)
  second = await startReplica(replica)
})
afterAll(async () => {
  await second[Symbol.asyncDispose]()
  await replica[Symbol.asyncDispose]()
  await primary[Symbol.asyncDispose]()
})

const JSON_HEADERS = { Accept: 'application/json', 'Content-Type': 'application/json' }

test('whoever changes something at a replica sees it there at once, and who asks a replica of a replica, too', async () => {
  const bob = await second.signUp('bob', { dev: { bases: ['ada/dev'] } })
  for (let step = 0; step < 5; step += 1) {
    const file = wheel('demo', `1.${step}`)
    const reply = await bob.upload('dev', file)
    expect([reply.status, reply.headers.get('X-DEVPI-PROXY')]).toEqual([200, 'replica'])
    const page = await second.fetch('/bob/dev/+simple/demo/')
    expect(await page.text()).toContain(file.filename)
    expect(page.headers.get('X-DEVPI-PROXY')).toBeNull()
  }
  expect((await second.fetch('/bob/dev')).headers.get('X-DEVPI-SERIAL')).toBe(String(primary.head()))
})

test('an answer says which node it comes from, and which serial the primary had', async () => {
  const reply = await replica.fetch('/cleo', { method: 'PUT', headers: JSON_HEADERS, body: '{"password": "a secret"}' })
  expect(reply.status).toBe(201)
  expect(reply.headers.get('X-DEVPI-UUID')).toBe(replica.running.storage.nodeId)
  expect(reply.headers.get('X-DEVPI-PRIMARY-UUID')).toBe(primary.running.storage.nodeId)
  expect(Number(reply.headers.get('X-DEVPI-SERIAL'))).toBe(primary.head())
  expect((await reply.json())).toMatchObject({ result: { username: 'cleo' } })
})

test('tokens of the primary are good at the replica, until they are not at the primary', async () => {
  const eve = await primary.signUp('eve', { dev: { acl_read: ['eve'] } })
  await caughtUp(replica, primary)
  const there = new TestUser((path, init) => replica.fetch(path, init), 'eve', eve.token)
  // The secret follows the entry by itself.
  await until(async () => (await there.get('/eve/dev')).status === 200)
  expect((await replica.fetch('/eve/dev', { headers: JSON_HEADERS })).status).toBe(401)

  const changed = await there.patch('/eve', { password: 'another secret' })
  expect(changed.status).toBe(200)
  expect((await there.get('/eve/dev')).status).not.toBe(200)
  const login = await replica.fetch('/+login', { method: 'POST', body: JSON.stringify({ user: 'eve', password: 'another secret' }) })
  const { result } = (await login.json()) as { result: { password: string } }
  expect((await new TestUser((path, init) => replica.fetch(path, init), 'eve', result.password).get('/eve/dev')).status).toBe(200)
})

test('an API token made at a replica is good there at once, and gone when it is revoked', async () => {
  const fay = await replica.signUp('fay', { dev: { acl_read: ['fay'] } })
  const made = await fay.post('/fay/+tokens', { name: 'ci', actions: ['read'], indexes: ['fay/dev'] })
  const { result } = (await made.json()) as { result: { token: string; id: string } }
  const ask = (): Promise<Response> => replica.fetch('/fay/dev', { headers: { Accept: 'application/json', Authorization: `Bearer ${result.token}` } })
  expect([made.status, (await ask()).status]).toEqual([201, 200])
  expect((await fay.delete(`/fay/+tokens/${result.id}`)).status).toBe(200)
  expect((await ask()).status).not.toBe(200)
})

test('the vault is for replicas alone', async () => {
  const root = await primary.root()
  const asked: Record<string, string>[] = [{}, { 'X-Devpi-Auth': root.auth }, { Authorization: `Bearer ${root.token}` }, { Authorization: `Basic ${root.auth}` }]
  for (const server of [primary, replica]) {
    const statuses = await Promise.all(asked.map(async (headers) => (await server.fetch('/+vault', { headers })).status))
    expect(statuses).toEqual([401, 403, 403, 403])
  }
})

test('refusals of the primary come through as they are', async () => {
  const refusedThere = await primary.fetch('/ada/dev/', { method: 'POST', headers: JSON_HEADERS, body: 'x' })
  const refusedHere = await replica.fetch('/ada/dev/', { method: 'POST', headers: JSON_HEADERS, body: 'x' })
  expect([refusedHere.status, await refusedHere.text()]).toEqual([refusedThere.status, await refusedThere.text()])
})

test('links in an answer lead to the address at which the client sees the replica', async () => {
  const reply = await replica.fetch('/ada/dev/+api', { method: 'POST', headers: JSON_HEADERS })
  const { result } = (await reply.json()) as { result: { simpleindex: string } }
  expect(result.simpleindex).toBe(`${replica.url}/ada/dev/+simple/`)
})

test('what a client says of where it comes from is not believed', async () => {
  const headers = { ...JSON_HEADERS, 'X-Outside-Url': 'http://evil.example', 'X-DEVPI-RELAY': 'dn1.x.y', 'X-DEVPI-CLIENT-ADDRESS': '8.8.8.8', 'X-DEVPI-REPLICA-UUID': 'ab'.repeat(16) }
  for (const server of [replica, primary]) {
    const reply = await server.fetch('/ada/dev/+api', { method: 'POST', headers })
    expect(await reply.text()).not.toContain('evil.example')
  }
})

test.each([
  ['of the replica alone', '', '/devpi'],
  ['of the primary alone', '/devpi', ''],
  ['of both', '/devpi', '/devpi'],
])('a user with the name of the sub-path %s is not left out', async (_, ofPrimary, ofReplica) => {
  await using above = await startServer({ config: { outsideUrl: `http://pkg.example${ofPrimary}` } })
  await using below = await startReplica(above, { config: { outsideUrl: `http://replica.example${ofReplica}` } }, `${above.url}${ofPrimary}`)
  await caughtUp(below, above)
  const { auth } = await above.root()
  const asRoot = (path: string, method: string, body?: string): Promise<Response> => below.fetch(path, { method, headers: { ...JSON_HEADERS, 'X-Devpi-Auth': auth }, ...(body !== undefined && { body }) })
  for (const user of ['devpi', 'dev']) {
    expect((await asRoot(`${ofReplica}/${user}`, 'PUT', '{"password": "a secret"}')).status).toBe(201)
    expect((await asRoot(`${ofReplica}/${user}/dev`, 'PUT', '{}')).status).toBe(200)
  }
  expect((await asRoot(`${ofReplica}/devpi/dev`, 'DELETE')).status).toBe(201)
  expect((await above.fetch(`${ofPrimary}/dev`, { headers: JSON_HEADERS })).status).toBe(200)
  expect((await above.fetch(`${ofPrimary}/devpi/dev`, { headers: JSON_HEADERS })).status).toBe(404)
  const reply = await asRoot(`${ofReplica}/dev/dev/+api`, 'POST')
  expect(await reply.text()).toContain(`"http://replica.example${ofReplica}/dev/dev/`)
})

test('guesses of one client at a replica are not counted as those of another', async () => {
  const guess = (address: string): Promise<number> =>
    fetch(`${trusting.url}/+login`, { method: 'POST', headers: { 'X-Forwarded-For': address }, body: JSON.stringify({ user: 'ada', password: `wrong ${Math.random()}` }) }).then(({ status }) => status)
  await using trusting = await startReplica(primary, { config: { trustedProxies: ['loopback'] } })
  let last = 0
  for (let tries = 0; tries < 60 && last !== 429; tries += 1) last = await guess('192.0.2.1')
  expect(last).toBe(429)
  expect(await guess('192.0.2.2')).not.toBe(last)
})

describe('with a primary that does not do what it should', () => {
  const answers: Server = createServer((req, res) => {
    if (req.url?.startsWith('/+')) return void res.writeHead(503).end()
    if (req.url === '/waits') return
    if (req.url === '/hangs-up') return void req.socket.destroy()
    if (req.url === '/breaks-off') {
      res.writeHead(200, { 'Content-Length': 1000 })
      res.write('half', () => { req.socket.destroy() })
      return
    }
    if (req.url === '/early') return void res.writeHead(413, { 'Content-Length': 5 }).end('large')
    const hash = createHash('sha256')
    req.on('data', (chunk: Buffer) => hash.update(chunk))
    req.on('end', () => res.writeHead(200, { Connection: 'X-Hop', 'X-Hop': 'no', 'X-Kept': 'yes' }).end(JSON.stringify({ digest: hash.digest('hex'), headers: req.headers, method: req.method })))
  })
  let url: string
  let relaying: TestServer
  beforeAll(async () => {
    await once(answers.listen(0, '127.0.0.1'), 'listening')
    url = `http://127.0.0.1:${(answers.address() as AddressInfo).port}`
    relaying = await startReplica(primary, {}, url)
  })
  afterAll(async () => {
    await relaying[Symbol.asyncDispose]()
    answers.close()
    answers.closeAllConnections()
  })

  test('a body goes on as it came, without the headers of one connection and those that only replicas may send', async () => {
    const body = randomBytes(5_000_000)
    const headers = { 'X-DEVPI-RELAY': 'mine', 'X-Real-IP': '8.8.8.8', Authorization: 'Basic eDp5', 'X-Other': 'kept', Expect: '100-continue' }
    const sent = httpRequest(`${relaying.url}/upload?x=1`, { method: 'POST', headers })
    sent.end(body)
    const [reply] = (await once(sent, 'response')) as [IncomingMessage]
    let text = ''
    for await (const chunk of reply) text += String(chunk)
    const seen = JSON.parse(text) as { digest: string; headers: Record<string, string>; method: string }
    expect(seen.digest).toBe(createHash('sha256').update(body).digest('hex'))
    expect(seen.headers).toMatchObject({ authorization: 'Basic eDp5', 'x-other': 'kept', 'x-devpi-client-address': '127.0.0.1' })
    expect([seen.headers['x-real-ip'], seen.headers['expect']]).toEqual([undefined, undefined])
    expect(seen.headers['x-devpi-relay']).toMatch(/^dn1\./)
    expect([reply.headers['x-hop'], reply.headers['x-kept']]).toEqual([undefined, 'yes'])
  })

  test.each([
    'http://other.example/x', '/../x', '/devpi/..', '/%2E%2e/x', '/a/./x', '/..%2fx', '/..%5Cx', '/a\\..\\x?y',
  ])('nothing goes to %s, where another server may be', async (path) => {
    const seen: (string | undefined)[] = []
    const note = (req: IncomingMessage): void => { if (req.method === 'POST') seen.push(req.url) }
    answers.on('request', note)
    const sent = httpRequest(relaying.url, { method: 'POST', path })
    sent.end()
    const [reply] = (await once(sent, 'response')) as [IncomingMessage]
    reply.resume()
    answers.off('request', note)
    expect([reply.statusCode, seen]).toEqual([400, []])
  })

  const inside = 'POST /inside HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n'
  test.each([
    ['in chunks', `Transfer-Encoding: chunked\r\n\r\n${inside.length.toString(16)}\r\n${inside}\r\n0\r\n\r\n`],
    ['of a length that is of this connection only', `Connection: close, Content-Length\r\nContent-Length: ${inside.length}\r\n\r\n${inside}`],
  ])('no method makes a second request of a body %s', async (_, rest) => {
    const seen: (string | undefined)[] = []
    const note = ({ method, url: path }: IncomingMessage): void => { if (path?.startsWith('/+') === false) seen.push(`${method} ${path}`) }
    answers.on('request', note)
    for (const method of ['DELETE', 'PUT', 'TRACE', 'PROPFIND']) {
      const socket = connect(Number(new URL(relaying.url).port), '127.0.0.1')
      socket.write(`${method} /outside HTTP/1.1\r\nHost: x\r\n${rest}`)
      let text = ''
      await new Promise<void>((resolve) => socket.on('data', (piece: Buffer) => { if ((text += piece.toString()).includes('"method"')) resolve() }))
      socket.destroy()
      expect(text).toContain(createHash('sha256').update(inside).digest('hex'))
    }
    answers.off('request', note)
    expect(seen).toEqual(['DELETE /outside', 'PUT /outside', 'TRACE /outside', 'PROPFIND /outside'])
  })

  test.each([
    ['/hangs-up', 502, /went away before it answered; whether it made the change is not known/],
    ['/early', 413, /large/],
  ])('%s', async (path, status, message) => {
    const reply = await relaying.fetch(path, { method: 'POST', headers: JSON_HEADERS, body: 'x'.repeat(100_000) })
    expect(reply.status).toBe(status)
    expect(await reply.text()).toMatch(message)
  })

  test('half an answer is not taken for a whole one', async () => {
    const reply = await relaying.fetch('/breaks-off', { method: 'POST', headers: JSON_HEADERS, body: '{}' })
    await expect(reply.text()).rejects.toThrow()
  })

  test.each(['POST', 'PUSH'])('%s waits for the primary longer than a client may be idle', async (method) => {
    await using hasty = await startReplica(primary, { idleTimeoutMs: 200 }, url)
    let begun: ServerResponse | undefined
    const note = (req: IncomingMessage, res: ServerResponse): void => { if (req.url === '/waits') req.resume().once('end', () => { begun = res }) }
    answers.on('request', note)
    const ask = (body: string): { readonly text: () => string; readonly closed: Promise<unknown> } => {
      let text = ''
      const socket = connect(Number(new URL(hasty.url).port), '127.0.0.1').on('data', (piece: Buffer) => (text += piece.toString())).on('error', () => undefined)
      socket.write(`${method} /waits HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n${body}`)
      return { text: () => text, closed: once(socket, 'close') }
    }
    await ask('ha').closed // who does not send all is not waited for
    const whole = ask('half')
    const cutOff = ask('ha')
    await cutOff.closed // twice the time
    await ask('ha').closed
    await until(() => begun !== undefined)
    begun!.end('late')
    await until(() => whole.text().includes('late'))
    expect([whole.text().slice(0, 15), cutOff.text()]).toEqual(['HTTP/1.1 200 OK', ''])
    answers.off('request', note)
  })

  test('a client that goes away in the middle leaves nothing behind, and the replica goes on', async () => {
    const { port } = new URL(relaying.url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write('POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nhalf')
    const seen = await new Promise<IncomingMessage>((resolve) => {
      answers.on('request', (req) => { if (req.url === '/slow') resolve(req) }) // the replica asks for other things, too
    })
    socket.destroy()
    await new Promise((resolve) => seen.on('error', () => undefined).on('close', resolve))
    expect((await relaying.fetch('/ok', { method: 'POST', body: '{}' })).status).toBe(200)
  })
})

test('without its primary a replica refuses changes in a sentence, and is read as before', async () => {
  const lonely = await startServer()
  await lonely.signUp('gus', { dev: {} })
  await using left = await startReplica(lonely)
  await caughtUp(left, lonely)
  await lonely[Symbol.asyncDispose]()
  const reply = await left.fetch('/gus/dev', { method: 'PATCH', headers: JSON_HEADERS, body: '["title=x"]' })
  expect(reply.status).toBe(503)
  expect(await reply.text()).toMatch(/primary 127\.0\.0\.1:\d+ cannot be reached.*can be read/)
  expect((await left.fetch('/gus/dev', { headers: JSON_HEADERS })).status).toBe(200)
})

test('a change that comes back to where it began is refused: replicas that follow each other have no primary', async () => {
  await using way = await startTcpProxy(primary.url)
  await using one = await startReplica(primary, {}, way.url)
  await using other = await startReplica(primary, {}, one.url)
  way.target = other.url
  way.cutAll()
  for (const server of [one, other]) {
    const reply = await server.fetch('/+login', { method: 'POST', body: '{"user": "ada", "password": "ada secret"}', signal: AbortSignal.timeout(10_000) })
    expect([reply.status, await reply.text()]).toEqual([503, expect.stringMatching(/follow each other, and none of them is the primary/)])
  }
})

test('an answer that is held back when its primary is left is no success: a later serial is of another primary', async () => {
  const answers = createServer((req, res) => { req.resume().on('end', () => res.writeHead(200, { 'X-DEVPI-SERIAL': '7' }).end('{}')) }).listen(0, '127.0.0.1')
  await once(answers, 'listening')
  let wait: AbortSignal | undefined
  const relay = new WriteRelay({
    primary: new URL(`http://127.0.0.1:${(answers.address() as AddressInfo).port}`),
    credentials: () => ({ node: 'ab'.repeat(16), token: 'none' }),
    reached: (_, signal) => {
      wait = signal
      return new Promise((_resolve, reject) => { signal.addEventListener('abort', () => { reject(new Error('left')) }) })
    },
  })
  let refused: unknown
  const front = createServer((req, res) => {
    void relay.relay(req, res, { path: '/x', address: '127.0.0.1', outsideUrl: 'http://x' }).catch((error: unknown) => { refused = error }).finally(() => res.end())
  }).listen(0, '127.0.0.1')
  await once(front, 'listening')
  const sent = fetch(`http://127.0.0.1:${(front.address() as AddressInfo).port}/x`, { method: 'POST', body: '{}' })
  await until(() => wait !== undefined)
  relay[Symbol.dispose]()
  await (await sent).text()
  expect(refused).toMatchObject({ kind: 'upstream-failed', message: expect.stringContaining('is followed no more') })
  for (const server of [front, answers]) {
    server.closeAllConnections()
    server.close()
  }
})
