import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestHex } from '#log-format/chain.js'
import { issueNodeToken } from '#server/auth/node-token.js'
import { loadSecret } from '#server/auth/secret-file.js'
import { epochStartText, prevails } from '#server/storage/epoch-start.js'
import { wheel } from '#test/support/archives.js'
import { caughtUp, startReplica, until } from '#test/support/replica.js'
import { startServer, type TestServer, TestUser } from '#test/support/server.js'

/* Two replicas of one primary, both promoted, so that both are of epoch 1. */

const QUICK = { peers: { pauseMs: 20 } }
const JSON_HEADERS = { Accept: 'application/json', 'Content-Type': 'application/json' }

let folders: string
beforeAll(async () => {
  folders = await mkdtemp(join(tmpdir(), 'rivals-'))
})
afterAll(() => rm(folders, { recursive: true, force: true }))

const here = (server: TestServer, user: TestUser): TestUser => new TestUser((path, init) => server.fetch(path, init), user.name, user.token)
const digest = (server: TestServer): string => digestHex(server.running.storage.head.digest)

interface Rivals {
  /** The primary before them, which is stopped. */
  readonly former: TestServer
  readonly secretFile: string
  readonly ada: TestUser
  /** By the rule; each has an index that the other has not. */
  readonly winner: TestServer
  readonly loser: TestServer
}

/** `ahead`: one of them had an entry more of the former primary, so that it is known which one wins. */
async function rivals(name: string, { ahead }: { readonly ahead: boolean }): Promise<Rivals> {
  const primary = await startServer({ serverDir: join(folders, `${name}-p`) })
  const { secretFile } = primary
  const ada = await primary.signUp('ada', { dev: {} })
  const start = (which: string): Promise<TestServer> => startReplica(primary, { ...QUICK, serverDir: join(folders, `${name}-${which}`) })
  const [first, second] = [await start('1'), await start('2')]
  for (const replica of [first, second]) {
    await caughtUp(replica, primary)
    await until(() => replica.running.storage.secretsSerial >= primary.head())
  }
  await first.running.promote()
  if (ahead) {
    await ada.put('/ada/last', {})
    await caughtUp(second, primary)
  }
  await primary.stop()
  await second.running.promote()
  const isSecond = prevails(second.running.storage.reign, first.running.storage.reign)
  if (ahead) expect(isSecond).toBe(true)
  const [winner, loser] = isSecond ? [second, first] : [first, second]
  expect((await here(winner, ada).put('/ada/of-winner', {})).status).toBe(200)
  expect((await here(loser, ada).put('/ada/of-loser', {})).status).toBe(200)
  expect((await here(loser, ada).upload('dev', wheel('lost', '1.0'))).status).toBe(200)
  return { former: primary, secretFile, ada, winner, loser }
}

/** Starts it anew as the primary that it is. */
async function again(server: TestServer, secretFile: string, config: { readonly peers?: readonly string[]; readonly outsideUrl?: string } = {}): Promise<TestServer> {
  await server.stop()
  return startServer({ ...QUICK, serverDir: server.serverDir, config: { secretFile, port: Number(new URL(server.url).port), ...config } })
}

async function expectFenced(loser: TestServer, winner: TestServer, ada: TestUser): Promise<void> {
  await until(() => loser.running.storage.fence !== undefined)
  const refused = await here(loser, ada).put('/ada/more', {})
  expect([refused.status, await refused.text()]).toEqual([503, expect.stringContaining('was promoted too, and prevails (both are of epoch 1)')])
  expect(await (await loser.fetch('/+status', { headers: JSON_HEADERS })).json()).toMatchObject({ result: { epoch: 1, fenced: expect.stringContaining('prevails') } })
  expect(winner.running.storage.fence).toBeUndefined()
  expect((await here(winner, ada).put(`/ada/still-${winner.head()}`, {})).status).toBe(200)
}

test.each([
  { asks: 'loser', ahead: true },
  { asks: 'winner', ahead: true },
  { asks: 'loser', ahead: false },
  { asks: 'winner', ahead: false },
] as const)('when the $asks asks its peer (with the start of one ahead: $ahead), the same one is fenced, comes back as a replica, and loses nothing of what it had accepted', async ({ asks, ahead }) => {
  const { secretFile, ada, ...both } = await rivals(`${asks}-${ahead}`, { ahead })
  const lost = both.loser.running.storage.head
  const winner = asks === 'winner' ? await again(both.winner, secretFile, { peers: [both.loser.url] }) : both.winner
  const loser = asks === 'loser' ? await again(both.loser, secretFile, { peers: [both.winner.url] }) : both.loser
  await expectFenced(loser, winner, ada)
  await loser.stop()
  await using fenced = await again(loser, secretFile) // also after a restart, with nobody to ask
  await expectFenced(fenced, winner, ada)
  await fenced.stop()

  await using rejoined = await startReplica(winner, { serverDir: loser.serverDir, config: { secretFile } })
  await caughtUp(rejoined, winner)
  expect(digest(rejoined)).toBe(digest(winner))
  expect(rejoined.running.storage.fence).toBeUndefined()
  const aside = join(loser.serverDir, 'set-aside')
  const [name] = (await readdir(aside)).filter((file) => file.endsWith('.txt'))
  expect(name).toMatch(new RegExp(`^1-\\d+-${lost.serial}-${digestHex(lost.digest).slice(0, 8)}\\.txt$`))
  expect((await readFile(join(aside, name!), 'utf8')).trim().split('\n')).toEqual([
    expect.stringContaining('primary'),
    expect.stringContaining('ada/of-loser'),
    expect.stringContaining('lost-1.0'),
  ])
  expect(await readdir(join(aside, 'files'))).toHaveLength(1)
  expect((await here(rejoined, ada).put('/ada/through', {})).status).toBe(200)
  await rejoined.stop()
  await winner.stop()
})

test('replicas of the one that loses come over to the other, and one of the other fences it', async () => {
  const { secretFile, ada, winner, loser } = await rivals('replicas', { ahead: true })
  const ofLoser = await startReplica(loser, { config: { secretFile }, serverDir: join(folders, 'of-loser') })
  const ofWinner = await startReplica(winner, { config: { secretFile }, serverDir: join(folders, 'of-winner') })
  await caughtUp(ofLoser, loser)
  await caughtUp(ofWinner, winner)

  // Pointed at the wrong one, a replica tells it, and waits for what becomes of it.
  expect(loser.running.storage.fence).toBeUndefined()
  await ofWinner.running.followAt(loser.url)
  await expectFenced(loser, winner, ada)
  await until(() => ofWinner.running.follower?.status.problem !== undefined)
  expect(ofWinner.running.follower?.status.state).toBe('connecting')

  await ofLoser.running.followAt(winner.url)
  await until(() => ofLoser.running.follower?.status.state === 'stopped')
  expect(ofLoser.running.follower?.status.problem).toContain('a restart puts them aside')
  await ofLoser.stop()
  await using over = await startReplica(winner, { config: { secretFile }, serverDir: ofLoser.serverDir })
  await caughtUp(over, winner)
  expect(digest(over)).toBe(digest(winner))

  // The one that lost comes over too, and whoever follows it goes on with what it has then.
  await loser.stop()
  const port = Number(new URL(loser.url).port)
  await using rejoined = await startReplica(winner, { config: { secretFile, port }, serverDir: loser.serverDir })
  await caughtUp(rejoined, winner)
  await here(winner, ada).put('/ada/later', {})
  await caughtUp(ofWinner, winner)
  expect([digest(rejoined), digest(ofWinner)]).toEqual([digest(winner), digest(winner)])
  for (const server of [over, ofWinner, rejoined, winner]) await server.stop()
})

test('two that know nothing of each other are told by the primary before them, when that is back and has given way to one', async () => {
  const { former, secretFile, ada, ...both } = await rivals('former', { ahead: true })
  const winner = await again(both.winner, secretFile, { outsideUrl: both.winner.url })
  const back = await startServer({ serverDir: former.serverDir, config: { port: Number(new URL(former.url).port) } })
  await until(() => back.running.storage.fence?.url === winner.url)
  await expectFenced(both.loser, winner, ada)
  expect(both.loser.running.storage.fence?.node).toBe(winner.running.storage.nodeId)
  for (const server of [back, both.loser, winner]) await server.stop()
})

test('the one that prevails does not give way, and only a node that says itself how its epoch began is heard', async () => {
  const { secretFile, winner, loser } = await rivals('heard', { ahead: true })
  await winner.stop()
  await expect(startReplica(loser, { config: { secretFile }, serverDir: winner.serverDir })).rejects.toThrow(/this one prevails; nothing was changed/)

  const secret = await loadSecret(secretFile)
  const node = 'ab'.repeat(16)
  const token = issueNodeToken(secret, node, Date.now())
  const own = loser.running.storage.reign.start!
  const later = epochStartText({ serial: own.serial, digest: 'f'.repeat(64) })
  const claim = { 'X-DEVPI-EPOCH': '1', 'X-DEVPI-REPLICA-UUID': node, 'X-DEVPI-HISTORY': loser.running.storage.history }
  const bearer = { Authorization: `Bearer ${token}` }
  const harmless: Record<string, string>[] = [
    { ...claim, ...bearer },
    { ...claim, ...bearer, 'X-DEVPI-EPOCH-START': epochStartText(own) },
    { ...claim, ...bearer, 'X-DEVPI-EPOCH-START': epochStartText({ serial: own.serial, digest: '0'.repeat(64) }) },
    { ...claim, ...bearer, 'X-DEVPI-EPOCH-START': 'f'.repeat(80) },
    { ...claim, ...bearer, 'X-DEVPI-EPOCH-START': later, 'X-DEVPI-HISTORY': 'ab'.repeat(32) },
    { ...claim, ...bearer, 'X-DEVPI-EPOCH-START': later, 'X-DEVPI-EPOCH': '0' },
    { ...claim, 'X-DEVPI-EPOCH-START': later },
    { ...claim, 'X-DEVPI-RELAY': token, 'X-DEVPI-EPOCH-START': later }, // an earlier release passes on what its client says
  ]
  for (const headers of harmless) await loser.fetch('/+epoch', { headers })
  expect(loser.running.storage.fence).toBeUndefined()
  await loser.fetch('/+epoch', { headers: { ...claim, ...bearer, 'X-DEVPI-EPOCH-START': later } })
  expect(loser.running.storage.fence).toEqual({ epoch: 1, start: { serial: own.serial, digest: 'f'.repeat(64) }, node })
  await loser.stop()
})
