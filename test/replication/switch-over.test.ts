import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { StatusJson } from '#log-format/api/status.js'
import { digestHex } from '#log-format/chain.js'
import { decodeEntry } from '#log-format/codec.js'
import type { Entry } from '#log-format/entry.js'
import { type Frame, FrameReader } from '#log-format/framing.js'
import { wheel } from '#test/support/archives.js'
import { type ChildServer, ROOT, startChild } from '#test/support/child-server.js'
import { openLogStream, replicaHeaders } from '#test/support/log-stream.js'
import { until } from '#test/support/replica.js'
import { startTcpProxy, type TcpProxy } from '#test/support/tcp-proxy.js'
import { uploadForm } from '#test/support/upload-form.js'
import { type Acknowledged, PAGE, SwitchLoad } from './switch-load.js'

const LONGEST_GAP_MS = 5000
const AUTH = Buffer.from('ada:secret').toString('base64')
const PROGRAM = join(ROOT, 'server/bin/devpi-server.js')
const JSON_HEADERS = { Accept: 'application/json', Connection: 'close' }

/** A server, and the way on which the other one finds it, whatever its port is. */
interface Node {
  readonly serverDir: string
  readonly proxy: TcpProxy
  child: ChildServer
}

let folder: string
let nodes: Node[] = []
const secretFile = (): string => join(folder, 'one', '.secret')

/* The two tests use the same two servers; in the second one they change their roles again. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'devpi-switch-'))
  const one = await startChild(join(folder, 'one'))
  nodes = [{ serverDir: join(folder, 'one'), proxy: await startTcpProxy(one.url), child: one }]
  const send = async (path: string, body: object, headers: Record<string, string> = {}): Promise<void> => {
    expect((await fetch(one.url + path, { method: 'PUT', body: JSON.stringify(body), headers })).ok).toBe(true)
  }
  await send('/ada', { password: 'secret' })
  await send('/ada/dev', {}, { Authorization: `Basic ${AUTH}` })
  // The page is there before anybody reads it.
  const first = await fetch(`${one.url}/ada/dev/`, { method: 'POST', body: uploadForm(wheel('demo', '0.1')), headers: { Authorization: `Basic ${AUTH}` } })
  expect(first.status).toBe(200)
  const two = await startFollowing(join(folder, 'two'), nodes[0]!.proxy.url)
  nodes.push({ serverDir: join(folder, 'two'), proxy: await startTcpProxy(two.url), child: two })
  await inStep(nodes[1]!, nodes[0]!)
}, 60_000)

afterAll(async () => {
  for (const { child, proxy } of nodes) {
    await child.kill()
    await proxy[Symbol.asyncDispose]()
  }
  await rm(folder, { recursive: true, force: true })
})

test('the primary is killed under load, and its replica takes over', async () => {
  const [old, next] = nodes as [Node, Node]
  await using load = loadOn(old, next, 1)
  await warm(load)
  const faultMs = performance.now()
  // The network goes first, so that there is something that only the primary has.
  old.proxy.trouble = () => ({ cutAfter: 0 })
  old.proxy.cutAll()
  const before = load.countAt(old.child.url)
  await reached(load, () => load.countAt(old.child.url) >= before + 8)
  await old.child.kill()
  await takeOver(load, next, faultMs)
  await load.stop()
  old.proxy.trouble = () => ({})
  await expectKeptOrReported({ load, old, next })
}, 60_000)

test('the primary is cut off under load and goes on alone, until it hears of the replica that took over', async () => {
  const [next, old] = nodes as [Node, Node]
  await using load = loadOn(old, next, 2)
  await warm(load)
  const faultMs = performance.now()
  for (const { proxy } of nodes) proxy.isSilent = true
  const before = load.countAt(old.child.url)
  await reached(load, () => load.countAt(old.child.url) >= before + 8)
  await takeOver(load, next, faultMs)
  const both = load.countAt(old.child.url)
  await reached(load, () => load.countAt(old.child.url) > both) // both accept now, each in an epoch of its own
  for (const { proxy } of nodes) {
    proxy.isSilent = false
    proxy.cutAll()
  }
  await reached(load, async () => (await statusOf(old)).fenced !== undefined)
  const fencedMs = performance.now()
  expect(await load.upload(old.child.url, '2.99.0')).toBe(false)
  const moved = load.acknowledged.length
  await reached(load, () => load.acknowledged.length > moved + 16)
  expect(load.acknowledged.filter(({ url, askedMs }) => url === old.child.url && askedMs > fencedMs)).toEqual([]) // an answer to what was asked before may still have been on its way
  await load.stop()
  await old.child[Symbol.asyncDispose]()
  await expectKeptOrReported({ load, old, next })
}, 60_000)

function loadOn(old: Node, next: Node, round: number): SwitchLoad {
  return new SwitchLoad({ oldUrl: old.child.url, newUrl: next.child.url, auth: AUTH, round })
}

/** What went wrong by then is said with it: what is waited for may never come after it. */
async function reached(load: SwitchLoad, isSo: () => boolean | Promise<boolean>): Promise<void> {
  await until(isSo, 10_000).catch((error: unknown) => { throw new Error(JSON.stringify([load.acknowledged.length, load.had.size, load.reads, ...load.problems.slice(0, 3)]), { cause: error }) })
}

const warm = (load: SwitchLoad): Promise<void> => reached(load, () => load.acknowledged.length >= 40 && load.had.size >= 10 && load.reads > 100)

async function takeOver(load: SwitchLoad, next: Node, faultMs: number): Promise<void> {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, 'promote', '--serverdir', next.serverDir])
  expect(stdout).toContain('the running server is the primary from serial')
  const { uuid } = await statusOf(next)
  const made = (): Acknowledged[] => load.acknowledged.filter(({ primary }) => primary === uuid)
  await reached(load, () => made().length > 16)
  expect(made()[0]!.atMs - faultMs).toBeLessThan(LONGEST_GAP_MS)
}

/** The old primary comes back; what was acknowledged is in the log of both, or put aside and told of, and never both. */
async function expectKeptOrReported({ load, old, next }: { readonly load: SwitchLoad; readonly old: Node; readonly next: Node }): Promise<void> {
  old.child = await startFollowing(old.serverDir, next.proxy.url)
  old.proxy.target = old.child.url
  await inStep(old, next)
  expect(load.problems).toEqual([])

  const { uuid, serial: head, epoch } = await statusOf(next)
  using stream = await openLogStream(next.child.url, 0, replicaHeaders({ serverDir: join(folder, 'one') }, 'ab'.repeat(16)))
  const kept = readUploads(await stream.take(head + 1))
  const promoted = kept.entries.find((entry) => entry.epoch === epoch)!.serial
  const [name] = (await readdir(join(old.serverDir, 'set-aside'))).filter((file) => file.startsWith(`${epoch - 1}-${promoted}-`) && file.endsWith('.log'))
  const aside = readUploads(new FrameReader().push(await readFile(join(old.serverDir, 'set-aside', name!))))
  const report = await readFile(join(old.serverDir, 'set-aside', name!.replace(/log$/, 'txt')), 'utf8')
  const asideFiles = await readdir(join(old.serverDir, 'set-aside', 'files'))

  expect(aside.entries.map(({ serial }) => serial)).toEqual(aside.entries.map((_, at) => promoted + at))
  expect(new Set(aside.entries.map((entry) => entry.epoch))).toEqual(new Set([epoch - 1]))
  expect(aside.uploads.size).toBeGreaterThanOrEqual(8)
  const lines = report.trimEnd().split('\n')
  expect(lines).toHaveLength(aside.entries.length)
  for (const { filename, sha256, serial, primary } of load.acknowledged) {
    const isKept = primary === uuid || serial < promoted
    expect({ filename, kept: kept.uploads.get(filename), aside: aside.uploads.get(filename) }).toEqual({ filename, kept: isKept ? serial : undefined, aside: isKept ? undefined : serial })
    if (!isKept) {
      expect(lines[serial - promoted]).toContain(`uploaded ${filename}`)
      expect(asideFiles).toContain(sha256)
    }
  }
  expect(new Set([...kept.digests.keys(), ...aside.digests.keys()]).size).toBe(kept.entries.length + aside.entries.length)
  await expectServed(load.acknowledged, kept.uploads, [old, next])
}

interface Uploads {
  readonly entries: readonly Entry[]
  /** By file name, the serial of its entry. */
  readonly uploads: ReadonlyMap<string, number>
  /** By serial and epoch. */
  readonly digests: ReadonlyMap<string, string>
}

function readUploads(frames: readonly Frame[]): Uploads {
  const entries = frames.map(({ bytes }) => decodeEntry(bytes))
  const uploads = new Map<string, number>()
  for (const { serial, mutation } of entries) if (mutation.kind === 'file-uploaded' && typeof mutation.file === 'string') uploads.set(mutation.file, serial)
  const digests = new Map(entries.map(({ serial, epoch }, at) => [`${serial} of ${epoch}`, digestHex(frames[at]!.digest)]))
  return { entries, uploads, digests }
}

/** Every upload that is in the log, also those whose files the new primary did not have when it took over. */
async function expectServed(acknowledged: readonly Acknowledged[], kept: ReadonlyMap<string, number>, servers: readonly Node[]): Promise<void> {
  for (const { child } of servers) {
    const replies = await Promise.all(acknowledged.map(async ({ path, filename }) => [(await fetch(child.url + path)).status, kept.has(filename)]))
    expect(replies.filter(([status, isKept]) => status !== (isKept ? 200 : 404))).toEqual([])
    expect((await fetch(child.url + PAGE)).status).toBe(200)
  }
}

function startFollowing(serverDir: string, primaryUrl: string): Promise<ChildServer> {
  return startChild(serverDir, ['--role', 'replica', '--primary-url', primaryUrl, '--secretfile', secretFile()])
}

async function inStep(one: Node, other: Node): Promise<void> {
  await until(async () => (await statusOf(one)).digest === (await statusOf(other)).digest)
}

async function statusOf({ child }: Node): Promise<StatusJson> {
  return ((await (await fetch(`${child.url}/+status`, { headers: JSON_HEADERS })).json()) as { result: StatusJson }).result
}
