import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestHex } from '#log-format/chain.js'
import { allRows } from '#test/storage/temp-storage.js'
import { ROOT, startChild } from '#test/support/child-server.js'
import { wheel } from '#test/support/archives.js'
import { caughtUp, startReplica, until } from '#test/support/replica.js'
import { startServer, type TestServer } from '#test/support/server.js'
import { startTcpProxy } from '#test/support/tcp-proxy.js'

const FROM_SNAPSHOT = { config: { fromSnapshot: true } }

let primary: TestServer
beforeAll(async () => {
  primary = await startServer()
  const alice = await primary.signUp('alice', { dev: {} })
  for (let at = 0; at < 40; at += 1) await alice.patch('/alice/dev', { title: `title ${at} ${'x'.repeat(2000)}` })
  await alice.upload('dev', wheel('demo', '1.0'))
})
afterAll(() => primary[Symbol.asyncDispose]())

function headOf({ running }: TestServer): string {
  const { serial, digest } = running.storage.head
  return `${serial} ${digestHex(digest)}`
}

function linesOf(server: TestServer, word: string): number {
  return server.log.filter((line) => line.includes(word)).length
}

test('a new replica begins with a snapshot, has what one has that folded the log, and goes on with the log', async () => {
  await using folded = await startReplica(primary)
  const begun = await startReplica(primary, FROM_SNAPSHOT)
  expect(linesOf(begun, 'took over a snapshot of the primary')).toBe(1)
  expect(begun.running.storage.head.serial).toBe(primary.head()) // before it followed anything
  const bob = await primary.signUp('bob')
  await Promise.all([caughtUp(begun, primary), caughtUp(folded, primary)])
  expect(headOf(begun)).toBe(headOf(primary))
  const file = '/alice/dev/+simple/demo/'
  expect((await begun.fetch(file)).status).toBe(200)
  // Of the secrets nothing was in the snapshot, and they are here all the same.
  await until(() => begun.running.storage.secretsSerial >= primary.head())
  expect((await begun.fetch('/+api', { headers: { Accept: 'application/json', 'X-Devpi-Auth': bob.auth } })).status).toBe(200)
  const sha256 = await sha256Of(begun)
  await until(async () => (await begun.running.blobs.stat(sha256)) !== undefined)
  await Promise.all([folded.stop(), begun.stop()])
  expect(await allRows(begun.serverDir, 'ekop')).toEqual(await allRows(folded.serverDir, 'ekop'))

  await using again = await startReplica(primary, { ...FROM_SNAPSHOT, serverDir: begun.serverDir }) // it has a log by now
  expect(linesOf(again, 'snapshot')).toBe(0)
  await begun[Symbol.asyncDispose]()
})

async function sha256Of(server: TestServer): Promise<string> {
  const page = await (await server.fetch('/alice/dev/+simple/demo/')).text()
  return /sha256=([0-9a-f]{64})/.exec(page)![1]!
}

test.each([
  ['is cut off', () => ({ cutAfter: 30_000 })],
  ['cannot be asked for', () => ({ cutAfter: 0 })],
])('a snapshot that %s is done without: the log is followed from its beginning', async (_, trouble) => {
  let connections = 0
  await using proxy = await startTcpProxy(primary.url, () => ((connections += 1) === 1 ? trouble() : {}))
  await using replica = await startReplica(primary, FROM_SNAPSHOT, proxy.url)
  expect(linesOf(replica, 'there is no snapshot of the primary')).toBe(1)
  await caughtUp(replica, primary)
  expect(headOf(replica)).toBe(headOf(primary))
})

test('a replica that is killed while it takes over a snapshot begins anew', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'devpi-snapshot-'))
  try {
    await using proxy = await startTcpProxy(primary.url, () => ({ silentAfter: 40_000 }))
    const options = ['--role', 'replica', '--secretfile', join(primary.serverDir, '.secret'), '--from-snapshot']
    const args = [join(ROOT, 'server/bin/devpi-server.js'), '--serverdir', join(folder, 'replica'), '--port', '0', ...options, '--primary-url', proxy.url]
    const child = spawn(process.execPath, args, { stdio: 'ignore' })
    await until(() => proxy.passed >= 40_000)
    child.kill('SIGKILL')
    await once(child, 'exit')
    await using replica = await startChild(join(folder, 'replica'), [...options, '--primary-url', primary.url])
    expect(replica.readyLine).toContain(`serial=${primary.head()}`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}, 30_000)

test('a replica gives snapshots too', async () => {
  await using middle = await startReplica(primary)
  await caughtUp(middle, primary)
  await using last = await startReplica(primary, FROM_SNAPSHOT, middle.url)
  expect([linesOf(last, 'took over a snapshot'), headOf(last)]).toEqual([1, headOf(primary)])
})

test('without the secret there is no start', async () => {
  await expect(startReplica({ ...primary, secretFile: join(primary.serverDir, 'none') }, FROM_SNAPSHOT)).rejects.toThrow('a replica needs a copy of that of its primary')
})
