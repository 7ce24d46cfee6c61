import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StatusJson } from '#log-format/api/status.js'
import { readEntry } from '#log-format/codec.js'
import { toSerial } from '#log-format/serial.js'
import { Changelog } from '#server/storage/changelog.js'
import { Database } from '#server/storage/database.js'
import { wheel } from '#test/support/archives.js'
import { type ChildServer, ROOT, startChild } from '#test/support/child-server.js'
import { Random } from '#test/support/random.js'
import { until } from '#test/support/replica.js'
import { startTcpProxy, type TcpProxy, type Trouble } from '#test/support/tcp-proxy.js'
import { uploadForm } from '#test/support/upload-form.js'

const ROUNDS = Number(process.env['REPLICA_ROUNDS'] ?? 5)
const UPLOADS_IN_ROUND = 6
const SKEWS_MS = [-600_000, 0, 600_000]
/** The index is for her alone. */
const AUTHORIZATION = `Basic ${Buffer.from('ada:secret').toString('base64')}`
const PROGRAM = join(ROOT, 'server/bin/devpi-server.js')

interface Pair {
  readonly folder: string
  readonly proxy: TcpProxy
  readonly random: Random
  primary: ChildServer
  replica: ChildServer
  /** How wrong the clock of the replica is. */
  skewMs: number
  /** What is wrong with the disk of the replica: it is nearly full, or nothing can be written any more. */
  disk: 'well' | 'low' | 'full'
}

/** What was acknowledged: path of each file, digest of its bytes. */
type Acknowledged = Map<string, string>

/*
 * A primary and a replica, with a network between them that cuts, delays,
 * delivers late, and delivers twice; either is killed without warning, the clock of the replica
 * is wrong, another way each time it starts, and its disk is full at times.
 */
test(
  `a replica has everything acknowledged and the digest of its primary after ${ROUNDS} rounds of faults`,
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'devpi-faults-'))
    const seed = Number(process.env['REPLICA_SEED'] ?? Date.now() % 1e9)
    try {
      await runRounds(folder, new Random(seed))
    } catch (error) {
      throw new Error(`with REPLICA_SEED=${seed}`, { cause: error })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
  60_000 + ROUNDS * 10_000,
)

test('a replica whose disk is full is read as before, and has the rest when there is room, after a restart if something could not be written', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'devpi-full-'))
  const primary = await startChild(join(folder, 'primary'))
  await using proxy = await startTcpProxy(primary.url)
  const pair: Pair = { folder, proxy, random: new Random(1), primary, replica: primary, skewMs: 0, disk: 'well' }
  try {
    pair.replica = await startReplica(pair)
    await signUp(primary.url)
    const acknowledged: Acknowledged = new Map()
    const add = (version: string): Promise<void> => upload(primary.url, { version, waitMs: 5000 }, acknowledged)
    await add('1.0')
    await expectConverged(pair, acknowledged)
    const known = [...acknowledged.keys()]
    for (const disk of ['low', 'full'] as const) {
      const before = await headAt(pair.replica.url)
      await setDisk(pair, disk)
      const unready = (): Promise<void> => until(async () => (await readiness(pair.replica.url)) === 503)
      if (disk === 'low') await unready() // it looks now and then
      await add(`1.${disk}`)
      await unready()
      expect([(await headAt(pair.replica.url)).serial, await read(pair.replica.url, known[0] ?? '')]).toEqual([before.serial, expect.objectContaining({ status: 200 })])
      await setDisk(pair, 'well')
      if (disk === 'full') {
        await pair.replica.kill()
        pair.replica = await startReplica(pair)
      }
      await expectConverged(pair, acknowledged)
    }
    expect(acknowledged.size).toBe(3)
  } finally {
    await pair.replica.kill()
    await pair.primary.kill()
    await rm(folder, { recursive: true, force: true })
  }
}, 120_000)

async function runRounds(folder: string, random: Random): Promise<void> {
  const primary = await startChild(join(folder, 'primary'))
  await using proxy = await startTcpProxy(primary.url)
  const pair: Pair = { folder, proxy, random, primary, replica: primary, skewMs: 0, disk: 'well' }
  try {
    pair.replica = await startReplica(pair)
    const token = await signUp(primary.url)
    await until(async () => (await headAt(pair.replica.url)).digest === (await headAt(primary.url)).digest)
    const acknowledged: Acknowledged = new Map()
    for (let round = 0; round < ROUNDS; round += 1) await oneRound(pair, round, acknowledged)
    proxy.trouble = () => ({})
    proxy.cutAll()
    await upload(pair.primary.url, { version: '9999', waitMs: 20_000 }, acknowledged) // after few rounds it may be the only one that got through
    await expectConverged(pair, acknowledged)
    expect(await statusWith(pair.replica.url, `Bearer ${token}`)).toBe(200)
    expect(await statusWith(pair.replica.url, undefined)).toBe(401)
    await pair.primary.kill()
    // What was sent twice, at once or much later, was done once.
    const uploads = await uploadsIn(join(folder, 'primary'))
    expect([...uploads].filter(([, times]) => times > 1)).toEqual([])
    expect(uploads.size).toBeGreaterThanOrEqual(acknowledged.size)
  } finally {
    await pair.replica.kill()
    await pair.primary.kill()
  }
}

async function oneRound(pair: Pair, round: number, acknowledged: Acknowledged): Promise<void> {
  const { proxy, random } = pair
  proxy.trouble = () => troubleOf(random)
  proxy.cutAll()
  const [killAt, fullAt] = [random.below(UPLOADS_IN_ROUND), random.below(UPLOADS_IN_ROUND)]
  const disk = random.pick(['well', 'well', 'low', 'full'] as const)
  const victim = random.pick(['primary', 'replica'] as const)
  let killing: Promise<void> | undefined
  const known = await pathsHad(pair.replica.url, acknowledged)
  for (let at = 0; at < UPLOADS_IN_ROUND; at += 1) {
    if (at === fullAt) await setDisk(pair, disk)
    const uploading = upload(random.pick([pair.primary, pair.replica]).url, { version: `1.${round}.${at}`, waitMs: pair.disk === 'well' ? 5000 : 1000 }, acknowledged)
    if (at === killAt) killing = pair[victim].kill()
    await Promise.all([uploading, readAgain(pair.replica.url, known, random)])
  }
  await killing
  await setDisk(pair, 'well')
  if (victim === 'primary') {
    pair.primary = await startChild(join(pair.folder, 'primary'))
    proxy.target = pair.primary.url
  }
  if (victim === 'primary' && disk === 'full') await pair.replica.kill() // what could not be written takes a restart
  if (victim === 'replica' || disk === 'full') pair.replica = await startReplica(pair)
  await readAgain(pair.replica.url, known, random)
}

function troubleOf(random: Random): Trouble {
  return random.pick<Trouble>([
    {},
    { cutAfter: random.below(40_000) },
    { cutAfter: random.below(2_000) },
    { pieceBytes: 1 + random.below(3_000), delayMs: 1 + random.below(5) },
    { lateMs: 1 + random.below(200), cutAfter: random.below(1_000) },
    { repeats: true },
    { repeats: true, cutAfter: random.below(2_000) },
    { againMs: random.below(300), cutAfter: 500 + random.below(40_000) },
    { twiceAfter: random.below(20_000) },
    { twiceAfter: random.below(2_000), pieceBytes: 1 + random.below(3_000) },
  ])
}

async function setDisk(pair: Pair, disk: Pair['disk']): Promise<void> {
  pair.disk = disk
  if (disk === 'well') await rm(fullFile(pair), { force: true })
  else await writeFile(fullFile(pair), disk)
}

/** See `faulty-disk.ts`. */
function fullFile({ folder }: Pair): string {
  return join(folder, 'full')
}

function preload(name: string, query: string): string[] {
  return ['--import', `file://${join(import.meta.dirname, '../support', name)}?${query}`]
}

function startReplica(pair: Pair): Promise<ChildServer> {
  const { folder, proxy, random } = pair
  pair.skewMs = random.pick(SKEWS_MS)
  const preloads = [...preload('skewed-clock.js', `ms=${pair.skewMs}`), ...preload('faulty-disk.js', `full=${encodeURIComponent(fullFile(pair))}`)]
  const options = ['--role', 'replica', '--primary-url', proxy.url, '--secretfile', join(folder, 'primary', '.secret')]
  return startChild(join(folder, 'replica'), options, PROGRAM, preloads)
}

async function signUp(url: string): Promise<string> {
  const send = (path: string, method: string, body: object, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(url + path, { method, body: JSON.stringify(body), headers })
  await send('/ada', 'PUT', { password: 'secret' })
  const { result } = (await (await send('/+login', 'POST', { user: 'ada', password: 'secret' })).json()) as { result: { password: string } }
  const auth = Buffer.from(`ada:${result.password}`).toString('base64')
  expect((await send('/ada/dev', 'PUT', { acl_read: ['ada'] }, { 'X-Devpi-Auth': auth })).status).toBe(200)
  return result.password
}

/** How often the log says of each file that it was uploaded. */
async function uploadsIn(serverDir: string): Promise<ReadonlyMap<string, number>> {
  const db = await Database.open(join(serverDir, 'db'))
  try {
    const times = new Map<string, number>()
    for await (const entries of (await Changelog.open(db)).read(toSerial(0))) {
      for (const { bytes } of entries) {
        const { mutation } = readEntry(bytes)
        if (mutation.kind !== 'file-uploaded' || typeof mutation.file !== 'string') continue
        times.set(mutation.file, (times.get(mutation.file) ?? 0) + 1)
      }
    }
    return times
  } finally {
    await db.close()
  }
}

async function readiness(url: string): Promise<number> {
  const reply = await fetch(`${url}/+health/ready`, { headers: { Connection: 'close' } })
  await reply.arrayBuffer()
  return reply.status
}

async function statusWith(url: string, authorization: string | undefined): Promise<number> {
  const headers: Record<string, string> = { Accept: 'application/json', ...(authorization === undefined ? {} : { Authorization: authorization }) }
  return (await fetch(`${url}/ada/dev`, { headers })).status
}

/** A refused or broken upload may have happened or not; an acknowledged one has. */
async function upload(url: string, { version, waitMs }: { readonly version: string; readonly waitMs: number }, acknowledged: Acknowledged): Promise<void> {
  const file = wheel('demo', version, { extra: { 'noise.bin': randomBytes(20_000) } })
  const sha256 = createHash('sha256').update(file.bytes).digest('hex')
  const signal = AbortSignal.timeout(waitMs)
  const reply = await fetch(`${url}/ada/dev/`, { method: 'POST', body: uploadForm(file), headers: { Authorization: AUTHORIZATION }, signal }).catch(() => undefined)
  if (reply?.ok === true) acknowledged.set(`/ada/dev/+f/${sha256.slice(0, 3)}/${sha256.slice(3, 16)}/${file.filename}`, sha256)
  else if (reply !== undefined) expect([502, 503, 504]).toContain(reply.status)
  await reply?.arrayBuffer().catch(() => undefined)
}

/** Files that the replica gave away once, so that it has them. */
async function pathsHad(url: string, files: Acknowledged): Promise<string[]> {
  const paths: string[] = []
  for (const [path, sha256] of [...files].slice(-10)) if ((await read(url, path))?.sha256 === sha256) paths.push(path)
  return paths
}

/** What it had, it has, whatever becomes of the primary. Nobody answers where it was killed. */
async function readAgain(url: string, known: readonly string[], random: Random): Promise<void> {
  if (known.length === 0) return
  const path = random.pick(known)
  const reply = await read(url, path)
  if (reply !== undefined && reply.status !== 200) throw new Error(`${path} was there and is answered with ${reply.status}`)
}

async function read(url: string, path: string): Promise<{ status: number; sha256: string } | undefined> {
  try {
    const reply = await fetch(url + path, { headers: { Authorization: AUTHORIZATION }, signal: AbortSignal.timeout(10_000) })
    return { status: reply.status, sha256: createHash('sha256').update(Buffer.from(await reply.arrayBuffer())).digest('hex') }
  } catch {
    return undefined
  }
}

async function expectConverged({ proxy, primary, replica }: Pair, acknowledged: Acknowledged): Promise<void> {
  proxy.trouble = () => ({})
  proxy.cutAll()
  await until(async () => (await headAt(replica.url)).digest === (await headAt(primary.url)).digest, 60_000)
  expect(acknowledged.size).toBeGreaterThan(0)
  const [first = ''] = acknowledged.keys()
  await until(async () => (await read(replica.url, first))?.status !== 401, 60_000) // passwords come by a road of their own, which was cut as well
  for (const [path, sha256] of acknowledged) expect({ path, ...(await read(replica.url, path)) }).toEqual({ path, status: 200, sha256 })
}

async function headAt(url: string): Promise<Pick<StatusJson, 'digest' | 'serial'>> {
  const reply = await fetch(`${url}/+status`, { headers: { Accept: 'application/json', Connection: 'close' } })
  const { result } = (await reply.json()) as { result: StatusJson }
  return { serial: result.serial, digest: result.digest }
}
