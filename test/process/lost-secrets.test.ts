import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { missingSecrets } from '#server/replication/missing-secrets.js'
import { ROOT } from '#test/support/child-server.js'
import { caughtUp, startReplica, until } from '#test/support/replica.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

let folders: string
beforeAll(async () => {
  folders = await mkdtemp(join(tmpdir(), 'lost-secrets-'))
})
afterAll(() => rm(folders, { recursive: true, force: true }))

/** A way to the primary on which the log comes, and its vault only while nobody holds it back. */
class VaultGate implements AsyncDisposable {
  isClosed = false
  readonly #server: Server

  constructor(target: string) {
    this.#server = createServer((req, res) => {
      if (this.isClosed && req.url?.startsWith('/+vault') === true) return void req.socket.destroy()
      const sent = request(target + (req.url ?? ''), { method: req.method, headers: req.headers }, (reply) => {
        res.writeHead(reply.statusCode ?? 502, reply.headers)
        res.flushHeaders()
        reply.on('error', () => res.destroy())
        reply.pipe(res)
      })
      sent.on('error', () => res.destroy())
      res.on('close', () => sent.destroy())
      req.pipe(sent)
    })
  }

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return this
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }
}

interface Behind extends AsyncDisposable {
  readonly primary: TestServer
  readonly gate: VaultGate
  readonly replica: TestServer
  readonly ada: TestUser
}

/** A replica that has the log of its primary, but of the vault only what was before the gate closed: ada has another password since, and bob is new. */
async function behind(name: string): Promise<Behind> {
  const primary = await startServer({ serverDir: join(folders, `${name}-p`) })
  const ada = await primary.signUp('ada', { dev: {} })
  const gate = await new VaultGate(primary.url).start()
  const replica = await startReplica(primary, { serverDir: join(folders, `${name}-r`) }, gate.url)
  await caughtUp(replica, primary)
  await until(() => replica.running.storage.secretsSerial >= primary.head())
  gate.isClosed = true
  await ada.patch('/ada', { password: 'another' })
  await primary.signUp('bob')
  await caughtUp(replica, primary)
  return {
    primary, gate, replica, ada,
    [Symbol.asyncDispose]: async () => {
      for (const opened of [replica, gate, primary]) await opened[Symbol.asyncDispose]()
    },
  }
}

function promote(serverDir: string, args: readonly string[] = []): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [join(ROOT, 'server/bin/devpi-server.js'), 'promote', '--serverdir', serverDir, ...args], (_, stdout, stderr) => { resolve({ code: child.exitCode, stdout, stderr }) })
  })
}

async function logIn(server: TestServer, user: string, password: string): Promise<number> {
  return (await server.fetch('/+login', { method: 'POST', body: JSON.stringify({ user, password }) })).status
}

test('what is missing of a vault is told from the log, and only that', async () => {
  await using primary = await startServer()
  const root = await primary.root()
  const [ada, eve] = [await primary.signUp('ada', { dev: {} }), await primary.signUp('eve')]
  await root.put('/root/old', { type: 'mirror', mirror_url: 'https://user:pw@old.example/' })
  await using gate = await new VaultGate(primary.url).start()
  await using replica = await startReplica(primary, {}, gate.url)
  await caughtUp(replica, primary)
  await until(() => replica.running.storage.secretsSerial >= primary.head())
  gate.isClosed = true
  const missing = async (): Promise<Record<string, string[]>> => {
    await caughtUp(replica, primary)
    return Object.fromEntries(Object.entries(await missingSecrets(replica.running.storage)).map(([kind, names]) => [kind, [...(names as Set<string>)].sort()]))
  }
  await ada.patch('/ada', { email: 'ada@example.org' })
  await ada.put('/ada/stage', {})
  await primary.signUp('gone')
  await root.delete('/gone')
  const { result } = (await (await ada.post('/ada/+tokens', { name: 'ci', actions: ['read'], indexes: ['*'] })).json()) as { result: { id: string } }
  await ada.delete(`/ada/+tokens/${result.id}`)
  expect(await missing()).toEqual({ passwords: [], tokens: [], upstreams: [] })

  await ada.patch('/ada', { password: 'another' })
  await primary.signUp('bob')
  await eve.post('/eve/+tokens', { name: 'ci', actions: ['read'], indexes: ['*'] })
  await root.put('/root/new', { type: 'mirror', mirror_url: 'https://user:pw@new.example/' })
  await root.patch('/root/old', { mirror_url: 'https://user:other@old.example/' })
  expect(await missing()).toEqual({ passwords: ['ada', 'bob'], tokens: ['eve'], upstreams: ['root/new', 'root/old'] })

  gate.isClosed = false
  await until(() => replica.running.storage.secretsSerial >= primary.head())
  expect(await missing()).toEqual({ passwords: [], tokens: [], upstreams: [] })
})

test('a running replica asks its primary once more, and is promoted with all secrets, or not, and follows on', async () => {
  await using world = await behind('running')
  const { primary, gate, replica, ada } = world
  await expect(replica.running.promote()).rejects.toThrow('new passwords of 2 users (ada, bob) have not come here from the primary; promote this server while the primary can be reached, or with --accept-lost-secrets')
  expect(replica.running.role).toBe('replica')
  await ada.put('/ada/later', {})
  await caughtUp(replica, primary)
  gate.isClosed = false
  expect(await promote(replica.serverDir)).toMatchObject({ code: 0, stdout: expect.not.stringContaining('set anew'), stderr: '' })
  expect([await logIn(replica, 'ada', 'another'), await logIn(replica, 'ada', 'ada secret'), await logIn(replica, 'bob', 'bob secret')]).toEqual([200, 401, 200])
})

test('without its primary it is promoted only by who accepts what is lost, and is told what that is', async () => {
  await using world = await behind('lost')
  const { primary, replica } = world
  await primary.stop()
  expect(await promote(replica.serverDir)).toEqual({ code: 1, stdout: '', stderr: expect.stringMatching(/^devpi-server promote: new passwords of 2 users \(ada, bob\) have not come/) })
  expect(await promote(replica.serverDir, ['--accept-lost-secrets'])).toEqual({
    code: 0,
    stdout: expect.stringMatching(/^the running server is the primary .*; set anew what did not come from the old primary: new passwords of 2 users \(ada, bob\)\n$/),
    stderr: '',
  })
  expect(replica.log.join('')).toContain('(ada, bob)')
  expect([await logIn(replica, 'ada', 'ada secret'), await logIn(replica, 'bob', 'bob secret')]).toEqual([200, 401])
})

test('what waits for the promotion is answered in the name of the new primary', async () => {
  await using world = await behind('held')
  const { replica } = world
  const promoting = replica.running.promote({ lostSecrets: 'accept' }) // waits for the secrets
  const credentials = `Basic ${Buffer.from('ada:ada secret').toString('base64')}`
  const held = await replica.fetch('/ada/held', { method: 'PUT', body: '{}', headers: { Authorization: credentials } })
  await promoting
  expect([held.status, held.headers.get('X-DEVPI-PRIMARY-UUID'), held.headers.get('X-DEVPI-EPOCH')]).toEqual([200, replica.running.storage.nodeId, '1'])
})

test('a stopped replica asks the primary, if it is given the secret, and is otherwise promoted only by who accepts what is lost', async () => {
  await using world = await behind('stopped')
  const { primary, gate, replica } = world
  await replica.stop()
  const secret = ['--secretfile', primary.secretFile]
  expect(await promote(replica.serverDir, secret)).toMatchObject({ code: 1, stderr: expect.stringContaining('(ada, bob)') })
  gate.isClosed = false
  expect(await promote(replica.serverDir)).toMatchObject({ code: 1, stderr: expect.stringContaining('(ada, bob)') })
  expect(await promote(replica.serverDir, secret)).toMatchObject({ code: 0, stdout: expect.not.stringContaining('set anew') })
  await using promoted = await startServer({ serverDir: replica.serverDir, config: { secretFile: primary.secretFile } })
  expect([await logIn(promoted, 'ada', 'another'), await logIn(promoted, 'bob', 'bob secret')]).toEqual([200, 200])
})
