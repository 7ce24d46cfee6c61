import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StatusJson } from '#log-format/api/status.js'
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
}

/** What was acknowledged: path of each file, digest of its bytes. */
type Acknowledged = Map<string, string>

/*
 * A primary and a replica, with a network between them that cuts, delays and
 * delivers late; either is killed without warning, and the clock of the replica
 * is wrong, another way each time it starts.
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

async function runRounds(folder: string, random: Random): Promise<void> {
  const primary = await startChild(join(folder, 'primary'))
  await using proxy = await startTcpProxy(primary.url)
  const pair: Pair = { folder, proxy, random, primary, replica: primary, skewMs: 0 }
  try {
    pair.replica = await startReplica(pair)
    const token = await signUp(primary.url)
    await until(async () => (await headAt(pair.replica.url)).digest === (await headAt(primary.url)).digest)
    const acknowledged: Acknowledged = new Map()
    for (let round = 0; round < ROUNDS; round += 1) await oneRound(pair, round, acknowledged)
    await expectConverged(pair, acknowledged)
    expect(await statusWith(pair.replica.url, `Bearer ${token}`)).toBe(200)
    expect(await statusWith(pair.replica.url, undefined)).toBe(401)
  } finally {
    await pair.replica.kill()
    await pair.primary.kill()
  }
}

async function oneRound(pair: Pair, round: number, acknowledged: Acknowledged): Promise<void> {
  const { proxy, random } = pair
  proxy.trouble = () => troubleOf(random)
  proxy.cutAll()
  const killAt = random.below(UPLOADS_IN_ROUND)
  const victim = random.pick(['primary', 'replica'] as const)
  let killing: Promise<void> | undefined
  const known = await pathsHad(pair.replica.url, acknowledged)
  for (let at = 0; at < UPLOADS_IN_ROUND; at += 1) {
    const uploading = upload(random.pick([pair.primary, pair.replica]).url, `1.${round}.${at}`, acknowledged)
    if (at === killAt) killing = pair[victim].kill()
    await Promise.all([uploading, readAgain(pair.replica.url, known, random)])
  }
  await killing
  if (victim === 'primary') {
    pair.primary = await startChild(join(pair.folder, 'primary'))
    proxy.target = pair.primary.url
  } else {
    pair.replica = await startReplica(pair)
  }
  await readAgain(pair.replica.url, known, random)
}

function troubleOf(random: Random): Trouble {
  return random.pick<Trouble>([
    {},
    { cutAfter: random.below(40_000) },
    { cutAfter: random.below(2_000) },
    { pieceBytes: 1 + random.below(3_000), delayMs: 1 + random.below(5) },
    { lateMs: 1 + random.below(200), cutAfter: random.below(1_000) },
  ])
}

function startReplica(pair: Pair): Promise<ChildServer> {
  const { folder, proxy, random } = pair
  pair.skewMs = random.pick(SKEWS_MS)
  const clock = ['--import', `file://${join(import.meta.dirname, '../support/skewed-clock.js')}?ms=${pair.skewMs}`]
  const options = ['--role', 'replica', '--primary-url', proxy.url, '--secretfile', join(folder, 'primary', '.secret')]
  return startChild(join(folder, 'replica'), options, PROGRAM, clock)
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

async function statusWith(url: string, authorization: string | undefined): Promise<number> {
  const headers: Record<string, string> = { Accept: 'application/json', ...(authorization === undefined ? {} : { Authorization: authorization }) }
  return (await fetch(`${url}/ada/dev`, { headers })).status
}

/** A refused or broken upload may have happened or not; an acknowledged one has. */
async function upload(url: string, version: string, acknowledged: Acknowledged): Promise<void> {
  const file = wheel('demo', version, { extra: { 'noise.bin': randomBytes(20_000) } })
  const sha256 = createHash('sha256').update(file.bytes).digest('hex')
  const signal = AbortSignal.timeout(5_000)
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
  for (const [path, sha256] of acknowledged) expect({ path, ...(await read(replica.url, path)) }).toEqual({ path, status: 200, sha256 })
}

async function headAt(url: string): Promise<Pick<StatusJson, 'digest' | 'serial'>> {
  const reply = await fetch(`${url}/+status`, { headers: { Accept: 'application/json', Connection: 'close' } })
  const { result } = (await reply.json()) as { result: StatusJson }
  return { serial: result.serial, digest: result.digest }
}
