import { createHash } from 'node:crypto'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ChainHead, digestHex } from '#log-format/chain.js'
import { FrameReader } from '#log-format/framing.js'
import { askToPromote } from '#server/process/promote-request.js'
import { FORMER_URL_FACT, ROLE_FACT } from '#server/process/role.js'
import { ALL_PROJECTIONS } from '#server/projections/all.js'
import { Changelog } from '#server/storage/changelog.js'
import { Database } from '#server/storage/database.js'
import { factIn, nodeIn } from '#server/storage/open.js'
import { PRIMARY_UUID_FACT } from '#server/storage/rows.js'
import { readSetAside, SET_ASIDE_FACT, type SetAside } from '#server/storage/set-aside.js'
import { verifyStore } from '#server/storage/verify.js'
import { wheel } from '#test/support/archives.js'
import { ROOT, startChild } from '#test/support/child-server.js'
import { Random } from '#test/support/random.js'
import { caughtUp, startReplica, until } from '#test/support/replica.js'
import { startServer, type TestServer } from '#test/support/server.js'

/** Kills of each test; `all` of them, one after the other, at every instant. */
const ROUNDS = process.env['KILL_ROUNDS'] ?? '1'
const PROGRAM = join(ROOT, 'server/bin/devpi-server.js')
/** About as many instants as these have, see `faulty-disk.ts`. */
const INSTANTS = { rejoin: 94, running: 11, stopped: 6 }
const MOST_INSTANTS = 1000
const ASK_MS = 1000

let folder: string
let seed: number
let random: Random
let world: Parted
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'devpi-role-change-'))
  seed = Number(process.env['KILL_SEED'] ?? Date.now() % 1e9)
  random = new Random(seed)
  world = await parted()
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Preloads that kill. */
function dying(at: number, options: Readonly<Record<string, string>> = {}): string[] {
  const query = new URLSearchParams({ kill: String(at), ...options })
  return ['--import', `file://${join(import.meta.dirname, '../support/faulty-disk.js')}?${query.toString()}`]
}

/** Runs `round` at some instants, or with each one up to the first at which nothing dies any more. Says with what it failed. */
async function atInstants(most: number, round: (at: number) => Promise<{ readonly died: boolean }>): Promise<void> {
  const run = async (at: number): Promise<boolean> => {
    try {
      return (await round(at)).died
    } catch (error) {
      throw new Error(`killed at instant ${at}, with KILL_SEED=${seed}`, { cause: error })
    }
  }
  if (ROUNDS === 'all') {
    let at = 1
    while (at < MOST_INSTANTS && (await run(at))) at += 1
    expect(at).toBeGreaterThan(most / 2)
    return
  }
  for (let left = Number(ROUNDS); left > 0; left -= 1) await run(1 + random.below(most))
}

async function copyOf(serverDir: string): Promise<string> {
  const copy = await mkdtemp(join(folder, 'copy-'))
  await cp(serverDir, copy, { recursive: true })
  return copy
}

interface Left {
  readonly node: string
  readonly role: string | undefined
  readonly head: ChainHead
  readonly aside: readonly SetAside[]
  readonly primaryUuid: string | undefined
  readonly formerUrl: string | undefined
}

/** What is on the disk, with nothing mended. */
async function leftIn(serverDir: string): Promise<Left> {
  const db = await Database.open(join(serverDir, 'db'))
  try {
    const { head } = await Changelog.open(db)
    const fact = (name: string): string | undefined => factIn(db, name)
    return { node: nodeIn(db), role: fact(ROLE_FACT), head, aside: readSetAside(fact(SET_ASIDE_FACT)), primaryUuid: fact(PRIMARY_UUID_FACT), formerUrl: fact(FORMER_URL_FACT) }
  } finally {
    await db.close()
  }
}

async function expectSound(serverDir: string): Promise<void> {
  const findings: string[] = []
  await verifyStore({ folder: serverDir, projections: ALL_PROJECTIONS, onFinding: ({ message }) => findings.push(message) })
  expect(findings).toEqual([])
}

/** A primary that is gone, with three entries that its replica never got, and the replica. */
interface Parted {
  readonly primaryDir: string
  readonly replicaDir: string
  readonly secretFile: string
  readonly lost: ChainHead
  readonly common: ChainHead
  /** Digests of the files that the three entries name. */
  readonly files: readonly string[]
}

async function parted(): Promise<Parted> {
  const [primaryDir, replicaDir] = [await mkdtemp(join(folder, 'primary-')), await mkdtemp(join(folder, 'replica-'))]
  const primary = await startServer({ serverDir: primaryDir })
  const ada = await primary.signUp('ada', { dev: {} })
  await ada.upload('dev', wheel('demo', '1.0'))
  const replica = await startReplica(primary, { serverDir: replicaDir })
  await caughtUp(replica, primary)
  await until(() => replica.running.storage.secretsSerial >= primary.head())
  await until(async () => (await replica.fetch('/+metrics').then((reply) => reply.text())).includes('devpi_replica_following 1\n'))
  await replica.stop()
  const common = primary.running.storage.head
  const wheels = [wheel('lost', '1.0'), wheel('lost', '2.0', { extra: { 'noise.bin': Buffer.alloc(50_000, 7) } })]
  await ada.put('/ada/lost', {})
  for (const file of wheels) expect((await ada.upload('lost', file)).status).toBe(200)
  const lost = primary.running.storage.head
  await primary.stop()
  const files = wheels.map(({ bytes }) => createHash('sha256').update(bytes).digest('hex')).sort()
  return { primaryDir, replicaDir, secretFile: join(primaryDir, '.secret'), lost, common, files }
}

test('a server that is killed while it comes back as a replica is the old primary or the replica, and has put aside all that it had, once', async () => {
  const { primaryDir, secretFile, lost, common, files } = world
  const replicaDir = await copyOf(world.replicaDir)
  await using promoted = await startReplica({ url: 'http://127.0.0.1:9', secretFile }, { serverDir: replicaDir })
  await promoted.running.promote()
  const options = ['--role', 'replica', '--primary-url', promoted.url, '--secretfile', secretFile]

  await atInstants(INSTANTS.rejoin, async (at) => {
    const serverDir = await copyOf(primaryDir)
    const links = random.pick(['yes', 'no'])
    let died = false
    for (let kills = 1 + random.below(2); kills > 0; kills -= 1) {
      const child = await startChild(serverDir, options, PROGRAM, dying(at, { links })).catch(() => undefined)
      died ||= child === undefined
      await child?.kill()
      await expectOldOrNew(serverDir)
    }
    await using rejoined = await startReplica(promoted, { serverDir, config: { secretFile } })
    await caughtUp(rejoined, promoted)
    expect(digestHex(rejoined.running.storage.head.digest)).toBe(digestHex(promoted.running.storage.head.digest))
    await rejoined.stop()
    await expectAside(serverDir)
    await expectSound(serverDir)
    await rm(serverDir, { recursive: true })
    return { died }
  })
  await promoted.stop()

  async function expectOldOrNew(serverDir: string): Promise<void> {
    const { role, head, aside } = await leftIn(serverDir)
    if (role === 'replica') {
      expect([head.serial >= common.serial, aside.length]).toEqual([true, 1])
      await expectAside(serverDir)
    } else {
      expect({ role, digest: digestHex(head.digest), aside }).toEqual({ role: 'standalone', digest: digestHex(lost.digest), aside: [] })
    }
  }

  async function expectAside(serverDir: string): Promise<void> {
    const { aside } = await leftIn(serverDir)
    const name = `0-${common.serial + 1}-${lost.serial}-${digestHex(lost.digest).slice(0, 8)}`
    expect(aside).toEqual([{ file: `${name}.log`, from: common.serial + 1, to: lost.serial }])
    const path = join(serverDir, 'set-aside')
    expect((await readdir(path)).sort()).toEqual([`${name}.log`, `${name}.txt`, 'files'])
    const frames = new FrameReader().push(await readFile(join(path, `${name}.log`)))
    expect([frames.length, digestHex(frames.at(-1)!.digest)]).toEqual([lost.serial - common.serial, digestHex(lost.digest)])
    expect((await readFile(join(path, `${name}.txt`), 'utf8')).split('\n')).toHaveLength(frames.length + 1)
    const whole = (await readdir(join(path, 'files'))).filter((name) => !name.endsWith('.new')) // of a copy that was cut off, before there were links
    expect(whole.sort()).toEqual(files)
    for (const sha256 of files) expect(createHash('sha256').update(await readFile(join(path, 'files', sha256))).digest('hex')).toBe(sha256)
  }
}, 60_000 + rounds(INSTANTS.rejoin) * 10_000)

test('a running replica that is killed while it is promoted is a replica or a primary, and can be promoted then if it was not', async () => {
  const { replicaDir, secretFile } = world
  await atInstants(INSTANTS.running, async (at) => {
    const serverDir = await copyOf(replicaDir)
    const armed = join(serverDir, 'armed')
    const child = await startChild(serverDir, ['--secretfile', secretFile], PROGRAM, dying(at, { armed }))
    const ended = once(child.process, 'exit')
    await writeFile(armed, '')
    const died = await askedOrDead(serverDir, ended)
    await child.kill()
    await expectReplicaOrPrimary(serverDir, replicaDir, secretFile)
    return { died }
  })
}, 60_000 + rounds(INSTANTS.running) * 10_000)

test('a program that is killed while it promotes leaves a replica or a primary', async () => {
  const { replicaDir, secretFile } = world
  await atInstants(INSTANTS.stopped, async (at) => {
    const serverDir = await copyOf(replicaDir)
    const child = spawn(process.execPath, [...dying(at), PROGRAM, 'promote', '--serverdir', serverDir], { stdio: 'ignore' })
    const [, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
    await expectReplicaOrPrimary(serverDir, replicaDir, secretFile)
    return { died: signal === 'SIGKILL' }
  })
}, 60_000 + rounds(INSTANTS.stopped) * 10_000)

/** Asks a running server to be promoted; resolves to whether it died of it. */
async function askedOrDead(serverDir: string, ended: Promise<unknown>): Promise<boolean> {
  let died = false
  void ended.then(() => { died = true })
  while (!died) {
    const answer = await askToPromote(serverDir, { lostSecrets: 'refuse' }, ASK_MS).catch(() => undefined) // asked again while it lives
    if (answer !== undefined) return false
  }
  return true
}

async function expectReplicaOrPrimary(serverDir: string, before: string, secretFile: string): Promise<void> {
  const [was, is] = [await leftIn(before), await leftIn(serverDir)]
  if (is.role === 'replica') expect(digestHex(is.head.digest)).toBe(digestHex(was.head.digest))
  else expect(is).toMatchObject({ role: 'primary', head: { serial: was.head.serial + 1, epoch: 1 }, primaryUuid: is.node, formerUrl: expect.stringContaining('http://127.0.0.1:') })

  await using server: TestServer = await startServer({ serverDir, config: { secretFile } })
  expect(server.running.role).toBe(is.role)
  if (is.role === 'replica') await server.running.promote()
  expect(server.running.storage.head).toMatchObject({ serial: was.head.serial + 1, epoch: 1 })
  expect((await server.fetch('/+login', { method: 'POST', body: JSON.stringify({ user: 'ada', password: 'ada secret' }) })).status).toBe(200)
  await server.stop()
  await expectSound(serverDir)
  await rm(serverDir, { recursive: true })
}

function rounds(instants: number): number {
  return ROUNDS === 'all' ? 3 * instants : Number(ROUNDS)
}
