import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ALL_PROJECTIONS } from '#server/projections/all.js'
import { DiskBlobs } from '#server/storage/disk-blobs.js'
import { verifyBlob } from '#server/storage/verify-blob.js'
import { verifyStore } from '#server/storage/verify.js'
import { BigContent, ComparingClient, type Outcome } from '#test/support/big-content.js'
import { type ChildServer, startChild } from '#test/support/child-server.js'
import { until } from '#test/support/replica.js'
import { SIMPLE_JSON, TestUpstream, text } from '#test/support/upstream.js'

/*
 * A server in a process of its own, so that its memory is its own and it can be
 * killed, with an upstream that stops wherever a test wants it to.
 */
const MB = 1024 * 1024
const CLIENTS = 50
/** `MIRROR_FILE_MB=200 npm test -- mirror-load` downloads larger files; no less than 12. */
const FILE_MB = Number(process.env['MIRROR_FILE_MB'] ?? 12)
const LARGE = FILE_MB * MB
/** Some of it, where an upstream can stop. */
const PART = Math.floor(FILE_MB / 12) * MB
const TIMEOUT_MS = 60_000 + FILE_MB * 1000
const OPTIONS = ['--allow-private-upstream', '127.0.0.1']

let folder: string
let upstream: TestUpstream
let server: ChildServer

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'devpi-load-'))
  upstream = await TestUpstream.start()
  server = await startChild(folder, OPTIONS)
  await send('/alice', 'PUT', { password: 'secret' })
  const { result } = (await (await send('/+login', 'POST', { user: 'alice', password: 'secret' })).json()) as { result: { password: string } }
  const auth = Buffer.from(`alice:${result.password}`).toString('base64')
  await send('/alice/mirror', 'PUT', { type: 'mirror', mirror_url: upstream.url }, auth)
  await send('/alice/dev', 'PUT', { bases: ['alice/mirror'] }, auth)
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

async function send(path: string, method: string, body: object, auth?: string): Promise<Response> {
  const reply = await fetch(server.url + path, { method, body: JSON.stringify(body), headers: auth === undefined ? {} : { 'X-Devpi-Auth': auth } })
  expect(reply.ok).toBe(true)
  return reply
}

interface Offered {
  /** At the server, through the child index. */
  readonly url: string
  /** Of the file, at the upstream. */
  readonly path: string
  readonly content: BigContent
  /** Lets the upstream send what is behind the point where it stopped. */
  readonly goOn: () => void
}

/** Has the upstream offer a file, of which it sends `at` bytes and then waits. */
async function offer(project: string, size: number, at: number): Promise<Offered> {
  const content = new BigContent(size)
  const [filename, path] = [`${project}-1.0.zip`, `/files/${project}.zip`]
  const listed = { filename, url: path, hashes: { sha256: content.sha256 }, size }
  upstream.on(`/simple/${project}/`, text(JSON.stringify({ meta: { 'api-version': '1.1' }, name: project, files: [listed] }), { contentType: SIMPLE_JSON }))
  let goOn = (): void => undefined
  const told = new Promise<void>((resolve) => { goOn = resolve })
  upstream.on(path, async (_request, response) => {
    response.writeHead(200, { 'content-length': size })
    await content.send(response, { start: 0, end: at })
    await told
    await content.send(response, { start: at, end: size })
    response.end()
  })
  const page = `${server.url}/alice/dev/+simple/${project}/`
  const pages = await Promise.all(Array.from({ length: CLIENTS }, async () => (await fetch(page, { headers: { accept: SIMPLE_JSON } })).json() as Promise<{ files: { url: string }[] }>))
  expect(new Set(pages.map(({ files }) => files.map(({ url }) => url).join())).size).toBe(1)
  expect(upstream.count(`/simple/${project}/`)).toBe(1)
  return { url: new URL(pages[0]?.files[0]?.url ?? '', page).href, path, content, goOn }
}

function clients(count: number, { url, content }: Offered): ComparingClient[] {
  return Array.from({ length: count }, () => new ComparingClient(url, content))
}

function outcomes(of: readonly ComparingClient[]): Promise<Outcome[]> {
  return Promise.all(of.map(({ outcome }) => outcome))
}

function all(outcome: Outcome, count: number): Outcome[] {
  return Array.from({ length: count }, () => outcome)
}

async function temporaryFiles(): Promise<string[]> {
  return readdir(join(folder, 'files', '+tmp'))
}

async function isStored({ content }: Offered): Promise<boolean> {
  const names = await readdir(join(folder, 'files'), { recursive: true })
  return names.some((name) => name.endsWith(content.sha256))
}

/** Memory of the server in RAM. */
function memoryBytes(): number {
  return Number(readFileSync(`/proc/${server.process.pid}/statm`, 'utf8').split(' ')[1]) * 4096
}

const measuresMemory = process.platform === 'linux'

test('fifty clients of one cold page and file cause one request for each, in flat memory; a slow one holds up nobody, and who leaves neither', async () => {
  const warmUp = await offer('warm', MB, MB)
  warmUp.goOn()
  expect(await outcomes(clients(CLIENTS, warmUp))).toEqual(all('whole', CLIENTS))
  const offered = await offer('many', LARGE, 4 * PART)
  const before = measuresMemory ? memoryBytes() : 0
  const [first] = clients(1, offered)
  const early = clients(CLIENTS / 2, offered)
  await Promise.all([first!, ...early].map(({ status }) => status))
  first!.leave()
  const [slow, ...quick] = early
  slow!.pause()
  await Promise.all(quick.map((client) => client.until(3 * PART)))
  const late = clients(CLIENTS / 2, offered)
  await Promise.all(late.map((client) => client.until(3 * PART)))
  offered.goOn()
  expect(await outcomes([...quick, ...late])).toEqual(all('whole', CLIENTS - 1))
  if (measuresMemory) expect((memoryBytes() - before) / MB).toBeLessThan(64)
  expect(slow!.received).toBeLessThan(offered.content.size)
  slow!.resume()
  expect(await outcomes([first!, slow!])).toEqual(['broken', 'whole'])
  expect(upstream.count(offered.path)).toBe(1)
  expect(await temporaryFiles()).toEqual([])
  expect(await outcomes(clients(1, offered))).toEqual(['whole'])
  expect(upstream.count(offered.path)).toBe(1)
}, TIMEOUT_MS)

test('an upstream that dies in the middle of a file: everybody hears of it, nothing is kept, and the next one gets it', async () => {
  const offered = await offer('dying', 2 * PART, PART)
  const hopeful = clients(CLIENTS, offered)
  await Promise.all(hopeful.map((client) => client.until(PART / 2)))
  await upstream.stop()
  expect(await outcomes(hopeful)).toEqual(all('broken', CLIENTS))
  expect([await temporaryFiles(), await isStored(offered)]).toEqual([[], false])
  await upstream.restart()
  offered.goOn()
  // It was asked for the rest when it was away, and is left alone for a second.
  await until(async () => (await fetch(offered.url)).status === 200)
  expect(await outcomes(clients(CLIENTS, offered))).toEqual(all('whole', CLIENTS))
  expect(upstream.count(offered.path)).toBe(2)
}, TIMEOUT_MS)

test('a server that is killed in the middle of a file has a clean store, and gets it when it runs again', async () => {
  const offered = await offer('killed', 2 * PART, PART)
  const hopeful = clients(CLIENTS, offered)
  await Promise.all(hopeful.map((client) => client.until(PART / 2)))
  await server.kill()
  expect(await outcomes(hopeful)).toEqual(all('broken', CLIENTS))
  const port = new URL(server.url).port
  server = await startChild(folder, OPTIONS)
  expect([await temporaryFiles(), await isStored(offered)]).toEqual([[], false])
  offered.goOn()
  const url = offered.url.replace(port, new URL(server.url).port)
  expect(await outcomes(clients(CLIENTS, { ...offered, url }))).toEqual(all('whole', CLIENTS))
  expect(upstream.count(offered.path)).toBe(2)
  await server[Symbol.asyncDispose]()
  expect(await faultsIn(folder)).toEqual([])
}, TIMEOUT_MS)

async function faultsIn(serverDir: string): Promise<string[]> {
  const faults: string[] = []
  await using blobs = await DiskBlobs.open(join(serverDir, 'files'))
  await verifyStore({
    folder: serverDir,
    projections: ALL_PROJECTIONS,
    blobs: {
      verify: (sha256) => verifyBlob(blobs, sha256),
      async *list() {
        for await (const { sha256 } of blobs.list()) yield sha256
      },
    },
    onFinding: ({ message }) => faults.push(message),
  })
  return faults
}
