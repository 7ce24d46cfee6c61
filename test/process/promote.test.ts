import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { digestHex } from '#log-format/chain.js'
import { decodeEntry } from '#log-format/codec.js'
import { FrameReader } from '#log-format/framing.js'
import { toSerial } from '#log-format/serial.js'
import { issueNodeToken } from '#server/auth/node-token.js'
import { loadSecret } from '#server/auth/secret-file.js'
import { wheel } from '#test/support/archives.js'
import { ROOT } from '#test/support/child-server.js'
import { openLogger } from '#server/process/logger.js'
import { watchConfig } from '#server/process/config-watch.js'
import { caughtUp, startReplica } from '#test/support/replica.js'
import { startServer, testConfig, type TestServer, type TestServerOptions, TestUser } from '#test/support/server.js'

const QUICK = { peers: { pauseMs: 20 } }
const JSON_HEADERS = { Accept: 'application/json', 'Content-Type': 'application/json' }

let folders: string
beforeAll(async () => {
  folders = await mkdtemp(join(tmpdir(), 'promote-'))
})
afterAll(() => rm(folders, { recursive: true, force: true }))

const until = async (isSo: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await isSo())) await wait(5)
}
const here = (server: TestServer, user: TestUser): TestUser => new TestUser((path, init) => server.fetch(path, init), user.name, user.token)
const head = (server: TestServer) => server.running.storage.head
const digest = (server: TestServer): string => digestHex(head(server).digest)

/** A primary with some entries, and replicas that have them and its secrets. */
async function cluster(name: string, replicas: number, options: TestServerOptions = {}): Promise<{ primary: TestServer; ada: TestUser; replicas: TestServer[] }> {
  const primary = await startServer({ ...QUICK, serverDir: join(folders, `${name}-p`), ...options })
  const ada = await primary.signUp('ada', { dev: {} })
  await ada.upload('dev', wheel('demo', '1.0'))
  const started = []
  for (let at = 0; at < replicas; at += 1) started.push(await startReplica(primary, { ...QUICK, serverDir: join(folders, `${name}-r${at}`) }))
  for (const replica of started) {
    await caughtUp(replica, primary)
    await until(() => replica.running.storage.secretsSerial >= head(primary).serial)
  }
  return { primary, ada, replicas: started }
}

function promoteProgram(serverDir: string, args: readonly string[] = []): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [join(ROOT, 'server/bin/devpi-server.js'), 'promote', '--serverdir', serverDir, ...args], (_, stdout, stderr) => { resolve({ code: child.exitCode, stdout, stderr }) })
  })
}

test('a running replica becomes the primary without a restart, a write that waits for it is made there, and others follow it', async () => {
  const { primary, ada, replicas: [first, second] } = await cluster('running', 2)
  const chained = await startReplica(first!, QUICK)
  await caughtUp(chained, primary)
  const before = head(first!)
  await primary.stop()

  const promoted = promoteProgram(first!.serverDir)
  await until(() => first!.running.role === 'primary')
  const put = await here(first!, ada).put('/ada/later', {})
  expect(await promoted).toEqual({ code: 0, stdout: expect.stringMatching(/^the running server is the primary from serial \d+ on, in epoch 1;/), stderr: '' })
  expect([put.status, put.headers.get('X-DEVPI-EPOCH'), put.headers.get('X-DEVPI-PRIMARY-UUID')]).toEqual([200, '1', first!.running.storage.nodeId])
  expect(head(first!)).toMatchObject({ serial: before.serial + 2, epoch: 1 })

  // By a configuration that names the new primary; that of the chain has not changed its address.
  await second!.running.followAt(first!.url)
  for (const follower of [second!, chained]) {
    await caughtUp(follower, first!)
    expect(digest(follower)).toBe(digest(first!))
    expect((await here(follower, ada).put(`/ada/by-${follower === second ? 'second' : 'chained'}`, {})).status).toBe(200)
    const shown = await follower.fetch('/ada', { headers: JSON_HEADERS })
    expect(shown.headers.get('X-DEVPI-PRIMARY-UUID')).toBe(first!.running.storage.nodeId)
  }
  expect(await promoteProgram(first!.serverDir)).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^devpi-server promote: this server is a primary already/) })
  for (const server of [chained, second!, first!]) await server.stop()

  // What it is it stays.
  await using again = await startServer({ serverDir: first!.serverDir, config: { secretFile: primary.secretFile } })
  expect(again.running.role).toBe('primary')
})

test('a stopped replica becomes one that starts as a primary, and a program says what happened', async () => {
  const { primary, ada, replicas: [replica] } = await cluster('stopped', 1)
  await replica!.stop()
  const serial = head(primary).serial + 1
  expect(await promoteProgram(replica!.serverDir)).toEqual({
    code: 0,
    stdout: `${replica!.serverDir} is that of a primary from serial ${serial} on, in epoch 1; start devpi-server on it, without --role replica and --primary-url\n`,
    stderr: '',
  })
  expect(await promoteProgram(replica!.serverDir)).toMatchObject({ code: 1, stderr: expect.stringContaining('nothing to promote') })
  expect(await promoteProgram(join(folders, 'nothing'))).toMatchObject({ code: 1, stderr: expect.stringContaining('no server directory') })

  await using promoted = await startServer({ ...QUICK, serverDir: replica!.serverDir, config: { secretFile: primary.secretFile } })
  expect((await here(promoted, ada).upload('dev', wheel('demo', '2.0'))).status).toBe(200)
  // The former primary still runs; it hears of it and takes no more changes, also after a restart.
  await until(() => primary.running.storage.fence !== undefined)
  const refused = await ada.put('/ada/other', {})
  expect([refused.status, await refused.text()]).toEqual([503, expect.stringContaining('promoted in its place (epoch 1)')])
  expect((await primary.fetch('/ada/dev/+simple/demo/')).status).toBe(200)
  expect(await (await primary.fetch('/+health/ready')).json()).toMatchObject({ status: 'unready', reasons: [expect.stringContaining('the primary no more')] })
  expect(await (await primary.fetch('/+status', { headers: JSON_HEADERS })).json()).toMatchObject({ result: { epoch: 0, fenced: expect.stringContaining('epoch 1') } })
  expect(primary.log.join('')).toContain('the primary no more')
  await primary.stop()
  await using again = await startServer({ serverDir: primary.serverDir })
  expect((await here(again, ada).put('/ada/other', {})).status).toBe(503)
})

test('only who has the secret can fence a primary, with a relayed change, as one that follows, or as a peer', async () => {
  const secretFile = join(folders, 'fence-secret')
  await writeFile(secretFile, randomBytes(32), { mode: 0o600 })
  await using server = await startServer({ config: { secretFile } })
  const root = await server.root()
  const secret = await loadSecret(secretFile)
  const node = 'ab'.repeat(16)
  const token = issueNodeToken(secret, node, Date.now())
  const other = issueNodeToken(Buffer.alloc(32, 1), node, Date.now())
  const epoch = { 'X-DEVPI-EPOCH': '7', 'X-DEVPI-REPLICA-UUID': node, 'X-DEVPI-PRIMARY-URL': 'https://new.example' }
  const harmless: Record<string, string>[] = [
    epoch,
    { ...epoch, 'X-Devpi-Auth': root.auth },
    { ...epoch, Authorization: `Bearer ${other}` },
    { ...epoch, 'X-DEVPI-RELAY': other },
    { ...epoch, 'X-DEVPI-RELAY': token, 'X-DEVPI-REPLICA-UUID': 'cd'.repeat(16) },
    { ...epoch, 'X-DEVPI-RELAY': token, 'X-DEVPI-HISTORY': 'ab'.repeat(32) },
    { ...epoch, 'X-DEVPI-RELAY': token, 'X-DEVPI-EPOCH': '0' },
    { ...epoch, 'X-DEVPI-RELAY': token, 'X-DEVPI-EPOCH': '-1' },
    { ...epoch, 'X-DEVPI-RELAY': token, 'X-DEVPI-EPOCH': '9e99' },
  ]
  for (const headers of harmless) {
    await server.fetch('/', { headers })
    await server.fetch('/bob', { method: 'PUT', headers: { ...JSON_HEADERS, ...headers }, body: '{"password": 7}' })
    await server.fetch(`/+changelog/${server.head() + 1}-`, { method: 'HEAD', headers })
  }
  expect(server.running.storage.fence).toBeUndefined()
  const relayed = await server.fetch('/bob', { method: 'PUT', headers: { ...JSON_HEADERS, ...epoch, 'X-DEVPI-RELAY': token }, body: '{"password": "a secret"}' })
  expect([relayed.status, await relayed.text()]).toEqual([503, expect.stringContaining('the server at https://new.example was promoted')])
  expect(server.running.storage.fence).toEqual({ epoch: 7, node, url: 'https://new.example' })
})

test('a replica follows whom its configuration file names, as soon as it is written anew, and no other history', async () => {
  const { primary, ada, replicas: [first, second] } = await cluster('reload', 2)
  const configFile = join(folders, 'reload.yml')
  let wanted = primary.url
  const name = async (url: string): Promise<void> => {
    wanted = url
    await writeFile(configFile, `devpi-server:\n  primary-url: ${url}\n`)
  }
  await name(primary.url)
  const config = testConfig({ configFile, primaryUrl: primary.url })
  const logger = openLogger({ debug: false, format: 'json', write: (line) => { told.push(line) } })
  const told: string[] = []
  await using _watch = await watchConfig({ config, reread: () => ({ ...config, primaryUrl: wanted }), server: second!.running, logger })
  await first!.running.promote()
  expect((await here(first!, ada).put('/ada/here', {})).status).toBe(200)
  await name(first!.url)
  await until(() => second!.running.follower?.status.primaryUrl === first!.url)
  await caughtUp(second!, first!)
  expect(digest(second!)).toBe(digest(first!))

  await using stranger = await startServer({ config: { secretFile: primary.secretFile } })
  wanted = stranger.url
  process.emit('SIGHUP')
  await until(() => second!.running.follower?.status.state === 'stopped')
  expect(second!.running.storage.head).toEqual(head(first!))
  expect(told).toHaveLength(2)
  for (const server of [second!, first!, primary]) await server.stop()
})

test('a replica passes on no epoch that its client claims', async () => {
  await using primary = await startServer()
  await using replica = await startReplica(primary)
  await caughtUp(replica, primary)
  const reply = await replica.fetch('/bob', { method: 'PUT', headers: { ...JSON_HEADERS, 'X-DEVPI-EPOCH': '7' }, body: '{"password": "a secret"}' })
  expect([reply.status, primary.running.storage.fence]).toEqual([201, undefined])
})

test('a primary that comes back hears from its peers, before it can be changed, and follows with what the other has not put aside', async () => {
  const { primary, ada, replicas: [replica, behind] } = await cluster('back', 2)
  await replica!.stop()
  // The primary accepts what no replica of the new one ever gets, and one that does not follow it yet has got.
  await ada.put('/ada/lost', {})
  await ada.upload('lost', wheel('lost', '1.0'))
  await caughtUp(behind!, primary)
  await primary.stop()
  await promoteProgram(replica!.serverDir)
  const promoted = await startServer({ ...QUICK, serverDir: replica!.serverDir, config: { secretFile: primary.secretFile } })
  await here(promoted, ada).put('/ada/kept', {})

  await using fenced = await startServer({ serverDir: primary.serverDir, config: { peers: [promoted.url] } })
  expect((await here(fenced, ada).put('/ada/more', {})).status).toBe(503)
  await fenced.stop()

  const lost = head(primary)
  await using rejoined = await startReplica(promoted, { serverDir: primary.serverDir, config: { secretFile: primary.secretFile } })
  await caughtUp(rejoined, promoted)
  expect(digest(rejoined)).toBe(digest(promoted))
  expect((await rejoined.fetch('/ada/lost', { headers: JSON_HEADERS })).status).toBe(404)
  expect((await here(rejoined, ada).put('/ada/through', {})).status).toBe(200)

  const first = lost.serial - 1
  const put = rejoined.log.filter((line) => line.includes('does not have this entry'))
  expect(put).toHaveLength(2)
  expect(put[0]).toContain(`created index ada/lost`)
  const folder = join(primary.serverDir, 'set-aside')
  const name = `0-${first}-${lost.serial}-${digestHex(lost.digest).slice(0, 8)}`
  expect((await readdir(folder)).sort()).toEqual([`${name}.log`, `${name}.txt`, 'files'])
  expect(await readFile(join(folder, `${name}.txt`), 'utf8')).toMatch(/created index ada\/lost\n.*uploaded lost-1\.0-py3-none-any\.whl/)
  const frames = new FrameReader().push(await readFile(join(folder, `${name}.log`)))
  expect(frames.map(({ bytes }) => decodeEntry(bytes).serial)).toEqual([first, lost.serial])
  expect(digestHex(frames[1]!.digest)).toBe(digestHex(lost.digest))
  const uploaded = decodeEntry(frames[1]!.bytes).mutation as { sha256?: string }
  expect(await readdir(join(folder, 'files'))).toEqual([uploaded.sha256])
  const root = here(promoted, await promoted.root())
  expect(await (await here(rejoined, root).get('/+status')).json()).toMatchObject({ result: { 'set-aside': [{ file: `${name}.log`, from: first, to: lost.serial }] } })

  // A replica that got them, too, stops, and does the same when it is started again.
  await behind!.running.followAt(promoted.url)
  await until(() => behind!.running.follower?.status.state === 'stopped')
  expect(behind!.running.follower?.status.problem).toContain('a restart puts them aside')
  await behind!.stop()
  await using restarted = await startReplica(promoted, { serverDir: behind!.serverDir, config: { secretFile: primary.secretFile } })
  await caughtUp(restarted, promoted)
  expect(digest(restarted)).toBe(digest(promoted))
  expect(await readdir(join(behind!.serverDir, 'set-aside'))).toContain(`${name}.txt`)
  await promoted.stop()
})

test('a server of another history, or one that nobody promoted, is not followed by one with entries of its own', async () => {
  const secretFile = join(folders, 'own-secret')
  await writeFile(secretFile, randomBytes(32), { mode: 0o600 })
  const own = await startServer({ serverDir: join(folders, 'own'), config: { secretFile } })
  await own.stop()
  await using other = await startServer({ config: { secretFile } })
  await expect(startReplica(other, { serverDir: own.serverDir })).rejects.toThrow(/was not promoted since/)
  await using replica = await startReplica(other)
  await caughtUp(replica, other)
  await replica.running.promote()
  await expect(startReplica(replica, { serverDir: own.serverDir })).rejects.toThrow(/another history than this serverdir, from its first entry on/)
  await expect(startReplica(replica, { serverDir: own.serverDir }, 'http://127.0.0.1:9')).rejects.toThrow(/cannot be asked/)
  await using same = await startServer({ serverDir: own.serverDir, config: { secretFile } })
  expect([same.running.role, head(same).serial]).toEqual(['standalone', toSerial(0)])
})
