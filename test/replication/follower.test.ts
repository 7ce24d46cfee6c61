import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestHex } from '#log-format/chain.js'
import { keys } from '#log-format/keys.js'
import type { Storage } from '#server/storage/storage.js'
import { Random } from '#test/support/random.js'
import { caughtUp, startReplica, statusOf, until } from '#test/support/replica.js'
import { startServer, type TestServer } from '#test/support/server.js'
import { startTcpProxy } from '#test/support/tcp-proxy.js'

/** Entries of some size, in the log at once. */
async function register({ running: { storage } }: { readonly running: { readonly storage: Storage } }, from: number, count: number): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, at) => {
      const version = { user: 'alice', index: 'dev', project: `p${(from + at) % 7}`, version: `${from + at}` }
      return storage.transact({ time: from + at, actor: 'alice', via: 'token', request: 'test' }, (tx) => {
        tx.set(keys.metadata(version), { summary: 'a summary '.repeat((from + at) % 60) })
        tx.record({ kind: 'version-registered', ...version })
        return Promise.resolve()
      })
    }),
  )
}

function headOf({ running }: TestServer): string {
  const { serial, digest } = running.storage.head
  return `${serial} ${digestHex(digest)}`
}

const linesWith = (server: TestServer, text: string): string[] => server.log.filter((line) => line.includes(text))

test('a replica has what its primary has, at once what comes, and reads without it; changes are refused', async () => {
  await using primary = await startServer()
  const alice = await primary.signUp('alice', { dev: {} })
  await using replica = await startReplica(primary)
  await caughtUp(replica, primary)
  await alice.put('/alice/prod', {})
  await caughtUp(replica, primary)
  expect(headOf(replica)).toBe(headOf(primary))

  const reply = await replica.fetch('/alice', { headers: { Accept: 'application/json' } })
  const { result } = (await reply.json()) as { result: { indexes: object } }
  expect(Object.keys(result.indexes)).toEqual(['dev', 'prod'])
  const primaryUuid = primary.running.storage.nodeId
  expect(Object.fromEntries(reply.headers)).toMatchObject({ 'x-devpi-primary-uuid': primaryUuid, 'x-devpi-master-uuid': primaryUuid, 'x-devpi-uuid': replica.running.storage.nodeId, 'x-devpi-serial': String(primary.head()) })

  await primary.stop()
  expect((await replica.fetch('/alice/dev', { headers: { Accept: 'application/json' } })).status).toBe(200)
  expect((await replica.fetch('/+health/ready')).status).toBe(200)
  const requests: [string, string][] = [['PUT', '/bob'], ['POST', '/+login'], ['POST', '/alice/dev/'], ['DELETE', '/alice'], ['PATCH', '/alice/dev'], ['POST', '/+undo'], ['PUT', '/nowhere/at/all']]
  for (const [method, path] of requests) {
    const refused = await replica.fetch(path, { method, body: '{}' })
    expect([method, path, refused.status, await refused.json()]).toEqual([method, path, 503, { message: expect.stringContaining('primary') as string }])
  }
  await replica.stop()

  await using again = await startReplica(primary, { serverDir: replica.serverDir }) // the primary is still away
  expect(headOf(again)).toBe(headOf(replica))
  expect((await again.fetch('/alice/dev', { headers: { Accept: 'application/json' } })).headers.get('x-devpi-primary-uuid')).toBe(primaryUuid)
})

test('status and figures of a replica tell how far it is behind, and whom it follows tells root', async () => {
  await using primary = await startServer({ feed: { heartbeatMs: 20 } })
  const proxy = await startTcpProxy(primary.url)
  await using replica = await startReplica(primary, {}, proxy.url)
  await caughtUp(replica, primary)
  await until(() => replica.running.follower!.status.inSyncMs !== undefined)
  const status = await statusOf(replica.fetch)
  expect(status).toMatchObject({
    role: 'REPLICA',
    serial: primary.head(),
    digest: (await statusOf(primary.fetch)).digest,
    'primary-uuid': primary.running.storage.nodeId,
    'master-uuid': primary.running.storage.nodeId,
    'primary-serial': primary.head(),
    'replica-state': 'following',
    'replica-lag-serials': 0,
    'replica-lag-seconds': 0,
  })
  for (const field of ['primary-contacted-at', 'update-from-master-at', 'replica-metadata-in-sync-at', 'replica-started-at'] as const) {
    expect(status[field]).toBeCloseTo(Date.now() / 1000, -2)
  }
  expect(JSON.stringify(status)).not.toContain(proxy.url)
  const { replicas } = { replicas: (await statusOf(async (path, init) => (await primary.root()).fetch(path, init))).polling_replicas }
  expect(replicas[replica.running.storage.nodeId]).toMatchObject({ serial: primary.head(), 'in-request': true })
  expect(await (await primary.fetch('/+metrics')).text()).toContain('devpi_log_streams 1\n')

  await proxy[Symbol.asyncDispose]()
  await until(async () => (await statusOf(replica.fetch))['replica-state'] === 'connecting')
  const figures = await (await replica.fetch('/+metrics')).text()
  expect(figures).toContain('devpi_replica_following 0\n')
  expect(figures).toContain('devpi_replica_lag_serials 0\n')
  expect(Number(/^devpi_replica_lag_seconds (.*)$/m.exec(figures)![1])).toBeGreaterThan(0)
})

test('a replica that never reached its primary is not ready, says so, and starts all the same', async () => {
  await using primary = await startServer()
  const proxy = await startTcpProxy(primary.url, () => ({ cutAfter: 0 }))
  await using replica = await startReplica(primary, {}, proxy.url)
  const ready = await replica.fetch('/+health/ready')
  expect([ready.status, await ready.json()]).toEqual([503, { status: 'unready', reasons: ['this replica has nothing of its primary yet'] }])
  const status = await statusOf(replica.fetch)
  expect(status).toMatchObject({ role: 'REPLICA', serial: -1, 'primary-uuid': '', 'primary-serial': null, 'replica-metadata-in-sync-at': null, 'replica-state': 'connecting' })
  expect(replica.head()).toBe(-1) // no users of its own
  proxy.trouble = () => ({})
  await caughtUp(replica, primary)
  expect((await replica.fetch('/+health/ready')).status).toBe(200)
  await proxy[Symbol.asyncDispose]()
})

/** Connections that are cut whatever chance says. */
const CUT_FIRST = 6

test('connections that are cut anywhere, slow or in pieces end with the bytes of the primary', async () => {
  const seed = Date.now() % 1e9
  const random = new Random(seed)
  await using primary = await startServer({ feed: { heartbeatMs: 20, streamMs: 200 } })
  await register(primary, 0, 300)
  expect(primary.running.storage.logBytes).toBeGreaterThan(CUT_FIRST * 10_000) // the first connections together are not enough for it
  await using proxy = await startTcpProxy(primary.url, () => ({
    ...((proxy.connections <= CUT_FIRST || random.below(12) > 0) && { cutAfter: random.below(10_000) }),
    ...(random.below(3) === 0 && { pieceBytes: 1 + random.below(700) }),
    ...(random.below(4) === 0 && { delayMs: random.below(3), pieceBytes: 2000 }),
  }))
  await using replica = await startReplica(primary, {}, proxy.url)
  for (let round = 0; round < 10; round += 1) {
    await register(primary, 300 + round * 20, 20)
    if (random.below(2) === 0) proxy.cutAll()
  }
  await caughtUp(replica, primary)
  expect([seed, headOf(replica), replica.running.follower!.status.state]).toEqual([seed, headOf(primary), expect.not.stringMatching('stopped')])
  expect(proxy.connections).toBeGreaterThan(CUT_FIRST)
})

test('a connection that falls silent is given up, and the next one goes on', async () => {
  await using primary = await startServer({ feed: { heartbeatMs: 50 } })
  let connections = 0
  await using proxy = await startTcpProxy(primary.url, () => ((connections += 1) === 1 ? { silentAfter: 1000 } : {}))
  await using replica = await startReplica(primary, { follower: { silenceMs: 400 } }, proxy.url)
  await register(primary, 0, 50)
  await caughtUp(replica, primary)
  expect(proxy.connections).toBeGreaterThan(1)
  expect(linesWith(replica, 'it sends nothing any more').length + linesWith(replica, 'it does not answer').length).toBeGreaterThan(0)
})

test('entries that could not be written are asked for again', async () => {
  await using primary = await startServer()
  await using replica = await startReplica(primary)
  await register(primary, 0, 5)
  await caughtUp(replica, primary)
  const { entries } = replica.running.storage
  const append = entries.append.bind(entries)
  let failures = 0
  entries.append = async (batch) => {
    if ((failures += 1) > 3) return append(batch)
    throw new Error('there is no room for it', { cause: new Error('no space left') })
  }
  await register(primary, 5, 30)
  await caughtUp(replica, primary)
  expect(headOf(replica)).toBe(headOf(primary))
  expect(linesWith(replica, 'entries of the primary could not be written here: no space left').length).toBeGreaterThan(0)
  expect((await replica.fetch('/+health/ready')).status).toBe(200)
})

test('replicas follow replicas', async () => {
  await using primary = await startServer()
  await primary.signUp('alice')
  await using middle = await startReplica(primary)
  await using last = await startReplica(primary, {}, middle.url)
  await register(primary, 0, 30)
  await caughtUp(last, primary)
  expect(headOf(last)).toBe(headOf(primary))
  expect((await last.fetch('/+api', { headers: { Accept: 'application/json' } })).headers.get('x-devpi-primary-uuid')).toBe(primary.running.storage.nodeId)
})

/** A primary that was set back to an earlier state, and a replica that is further. */
async function setBack(run: (world: { primary: TestServer; replica: TestServer; digests: Map<number, string> }) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'devpi-set-back-'))
  try {
    const original = await startServer({ serverDir: join(folder, 'original') })
    await register(original, 0, 3)
    await original.stop()
    await cp(join(folder, 'original'), join(folder, 'backup'), { recursive: true })
    const digests = new Map<number, string>()
    {
      await using further = await startServer({ serverDir: join(folder, 'original') })
      await using follows = await startReplica(further, { serverDir: join(folder, 'replica') })
      await register(further, 3, 4)
      await caughtUp(follows, further)
      digests.set(further.head(), digestHex(further.running.storage.head.digest))
    }
    await using primary = await startServer({ serverDir: join(folder, 'backup') })
    await using replica = await startReplica(primary, { serverDir: join(folder, 'replica') })
    await run({ primary, replica, digests })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

test('a primary that was set back is noticed: first it lacks entries, then its history is another one, and that is the end', async () => {
  await setBack(async ({ primary, replica, digests }) => {
    await until(() => replica.running.follower!.status.problem !== undefined)
    expect(replica.running.follower!.status).toMatchObject({ state: 'connecting', problem: 'it answers 404: this log goes on with serial 4, it has nothing before 8' })
    await register(primary, 100, 6)
    await until(() => replica.running.follower!.status.state === 'stopped')
    const here = digests.get(7)!
    const { problem = '' } = replica.running.follower!.status
    const [, there = ''] = /^the primary has another history: at serial 7 its digest is ([0-9a-f]{64}), here it is ([0-9a-f]{64})$/.exec(problem) ?? []
    expect(problem).toContain(here)
    expect(there).not.toBe(here)
    expect(linesWith(replica, problem)).toHaveLength(1)
    expect(replica.head()).toBe(7)
    expect(await statusOf(replica.fetch)).toMatchObject({ 'replica-state': 'stopped', serial: 7, digest: here })
    expect((await replica.fetch('/root', { headers: { Accept: 'application/json' } })).status).toBe(200)
  })
})

test('another primary at the address is not followed', async () => {
  await using primary = await startServer()
  await using other = await startServer({ config: { secretFile: primary.secretFile } })
  const replica = await startReplica(primary)
  await caughtUp(replica, primary)
  await replica.stop()
  await register(other, 0, 3)
  await using misled = await startReplica(primary, { serverDir: replica.serverDir }, other.url)
  await until(() => misled.running.follower!.status.state === 'stopped')
  expect(misled.running.follower!.status.problem).toBe(`it answers 400: this is the log of primary ${other.running.storage.nodeId}, the replica expects ${primary.running.storage.nodeId}`)
  expect(headOf(misled)).toBe(headOf(primary))
  await misled.stop()
  await replica[Symbol.asyncDispose]()
})

test('a wrong secret is said, and tried again', async () => {
  await using primary = await startServer()
  await using other = await startServer()
  await using replica = await startReplica(other, {}, primary.url)
  await until(() => replica.running.follower!.status.problem !== undefined)
  expect(replica.running.follower!.status).toMatchObject({ state: 'connecting', problem: 'it answers 403: this is not for users, and no token of a replica with the same --secretfile as this server' })
  expect(replica.log.join('\n')).not.toContain('dn1.')
})

test('a server does not follow itself or a copy of itself', async () => {
  await using primary = await startServer()
  const replica = await startReplica(primary)
  await caughtUp(replica, primary)
  const copy = await mkdtemp(join(tmpdir(), 'devpi-copy-'))
  await replica.stop()
  await cp(replica.serverDir, copy, { recursive: true })
  await using again = await startReplica(primary, { serverDir: replica.serverDir })
  await using copied = await startReplica(primary, { serverDir: copy }, again.url)
  await until(() => copied.running.follower!.status.state === 'stopped')
  expect(copied.running.follower!.status.problem).toBe('the primary has the uuid of this server: it is the same one, or a copy')
  await Promise.all([copied.stop(), again.stop()])
  await Promise.all([rm(copy, { recursive: true }), replica[Symbol.asyncDispose]()])
})
