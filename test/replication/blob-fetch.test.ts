import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { tempFolder } from '../storage/temp-storage.js'
import { type ReleaseFile, wheel } from '#test/support/archives.js'
import { CuttingProxy } from '#test/support/cutting-proxy.js'
import { Random } from '#test/support/random.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { type BlobReplica, fakeNode, openReplica, sendContent, sha256Of } from './blob-replica.js'

const FILES: readonly ReleaseFile[] = Array.from({ length: 6 }, (_, at) => wheel('demo', `1.${at}`))
const BIG = wheel('big', '1.0', { padding: 1_500_000 })
const CONTENTS = new Map([...FILES, BIG].map(({ bytes }) => [sha256Of(bytes), bytes]))

let primary: TestServer
let alice: TestUser
beforeAll(async () => {
  primary = await startServer()
  alice = await primary.signUp('alice', { dev: {}, other: {} })
  for (const file of FILES) expect((await alice.upload('dev', file)).ok).toBe(true)
  expect((await alice.upload('other', BIG)).ok).toBe(true)
})
afterAll(() => primary[Symbol.asyncDispose]())

async function stored({ blobs }: BlobReplica): Promise<string[]> {
  const digests: string[] = []
  for await (const { sha256 } of blobs.list()) digests.push(sha256)
  return digests
}

const all = [...CONTENTS.keys()].sort()

test('fetches everything that the log names from the primary', async () => {
  await using folder = await tempFolder()
  await using replica = await openReplica({ folder: folder.path, from: [primary.url], primary })
  await replica.takeLog(primary)
  await replica.fetchAll()
  expect(await stored(replica)).toEqual(all)
  for (const [sha256, bytes] of CONTENTS) expect(bytes.equals((await replica.blobs.read(sha256))!)).toBe(true)
  expect(replica.fetch.status).toEqual({ queued: 0, failed: 0, inSyncAt: expect.any(Number), paused: undefined })
  expect(replica.fetches.counts.fetched).toBe(all.length)
  expect(await readdir(join(folder.path, 'files', '+partial'))).toEqual([])
  expect(replica.faults).toEqual([])
})

test('follows the log as it grows, and fetches nothing twice', async () => {
  await using folder = await tempFolder()
  await using replica = await openReplica({ folder: folder.path, from: [primary.url], primary })
  await replica.fetchAll() // of nothing
  await replica.takeLog(primary)
  await replica.fetch.until(({ queued }) => queued === 0)
  await alice.put('/alice/again', { bases: 'alice/dev' })
  await alice.upload('again', FILES[0]!) // the same content under another name
  await replica.takeLog(primary)
  await replica.fetch.until(({ queued }) => queued === 0)
  expect(replica.fetches.counts.fetched).toBe(all.length)
})

test('fetches as many at a time as it has threads, and no more', async () => {
  await using folder = await tempFolder()
  let most = 0
  let held: (() => void)[] = []
  await using node = await fakeNode((sha256, request, response) => {
    held.push(() => { sendContent(CONTENTS.get(sha256)!, request, response) })
    most = Math.max(most, held.length)
    if (held.length < 3 && node.asked.length < all.length) return // who fetches one after the other waits for ever
    for (const answer of held) answer()
    held = []
  })
  await using replica = await openReplica({ folder: folder.path, from: [node.url], threads: 3 })
  await replica.takeLog(primary)
  await replica.fetchAll()
  expect(await stored(replica)).toEqual(all)
  expect(most).toBe(3)
})

test.each([1, 2])('sends again nothing that came before a cut, wherever connections break (seed %d)', async (seed) => {
  await using folder = await tempFolder()
  const random = new Random(seed)
  await using proxy = await CuttingProxy.start(primary.url, () => 300 + random.below(200_000))
  await using replica = await openReplica({ folder: folder.path, from: [proxy.url], primary })
  await replica.takeLog(primary)
  await replica.fetchAll()
  expect(await stored(replica)).toEqual(all)
  expect(CONTENTS.get(sha256Of(BIG.bytes))!.equals((await replica.blobs.read(sha256Of(BIG.bytes)))!)).toBe(true)
  expect(replica.fetches.counts.resumed).toBeGreaterThan(3)
  const total = [...CONTENTS.values()].reduce((sum, { length }) => sum + length, 0)
  expect(replica.fetches.counts.bytes).toBe(total)
})

test('a restart goes on where it was, within a content too', async () => {
  await using folder = await tempFolder()
  const big = sha256Of(BIG.bytes)
  let isStuck = true
  await using node = await fakeNode((sha256, request, response) => {
    if (sha256 === big && isStuck) {
      response.writeHead(200, { 'Content-Length': BIG.bytes.length })
      response.write(BIG.bytes.subarray(0, 1_000_000)) // and nothing more
    } else {
      sendContent(CONTENTS.get(sha256)!, request, response)
    }
  })
  {
    await using replica = await openReplica({ folder: folder.path, from: [node.url] })
    await replica.takeLog(primary)
    await replica.fetch.start()
    await replica.fetch.until(() => replica.fetches.counts.fetched === FILES.length)
    await replica.fetches.of({ sha256: big }).beyond(700_000)
    expect(replica.fetch.status).toMatchObject({ queued: 1, failed: 0, inSyncAt: undefined })
  }
  isStuck = false
  const before = node.asked.length
  await using replica = await openReplica({ folder: folder.path, from: [node.url] })
  expect(replica.storage.cursor('blob-fetch')).toBeGreaterThan(0)
  await replica.fetchAll()
  expect(await stored(replica)).toEqual(all)
  const [range = '', ...more] = node.asked.slice(before)
  expect(more).toEqual([])
  expect(range.startsWith(`${big} bytes=`)).toBe(true)
  expect(Number(/\d+(?=-$)/.exec(range)![0])).toBeGreaterThan(700_000)
})

test('another content than the digest says is never stored, is listed, and had from another node', async () => {
  await using folder = await tempFolder()
  const wrong = sha256Of(FILES[3]!.bytes)
  await using liar = await fakeNode((sha256, request, response) => {
    const content = CONTENTS.get(sha256)!
    sendContent(sha256 === wrong ? Buffer.alloc(content.length, 'x') : content, request, response)
  })
  {
    await using replica = await openReplica({ folder: folder.path, from: [liar.url] })
    await replica.takeLog(primary)
    await replica.fetch.start()
    await replica.fetch.until(({ queued, failed }) => queued === 0 && failed === 1)
    await replica.fetch.until(() => [...replica.backlog.shown][0]!.failures > 2) // it is tried again and again
    expect([...replica.backlog.shown]).toMatchObject([
      { sha256: wrong, path: expect.stringMatching(/^alice\/dev\/\+f\/\w{3}\/\w{13}\/demo-1\.3-/), message: expect.stringContaining('another one; nothing was stored') },
    ])
    expect(await stored(replica)).toEqual(all.filter((sha256) => sha256 !== wrong))
    expect(replica.fetch.status.inSyncAt).toBeUndefined()
  }
  await using replica = await openReplica({ folder: folder.path, from: [liar.url, primary.url], primary })
  expect([...replica.backlog.shown]).toMatchObject([{ sha256: wrong }]) // the list outlives a restart
  await replica.fetchAll()
  expect(await stored(replica)).toEqual(all)
  expect([...replica.backlog.shown]).toEqual([])
})

test('after another content than the digest says the next node is asked', async () => {
  await using folder = await tempFolder()
  await using liar = await fakeNode((sha256, request, response) => { sendContent(Buffer.alloc(CONTENTS.get(sha256)!.length, 'x'), request, response) })
  await using replica = await openReplica({ folder: folder.path, from: [liar.url, primary.url], primary })
  await replica.takeLog(primary)
  await replica.fetchAll()
  expect(await stored(replica)).toEqual(all)
  expect([...liar.asked].sort()).toEqual(all)
})

test('what a node cannot give delays nothing else', async () => {
  await using folder = await tempFolder()
  const lost = new Set(FILES.slice(0, 4).map(({ bytes }) => sha256Of(bytes)))
  await using node = await fakeNode((sha256, request, response) => {
    if (lost.has(sha256)) response.writeHead(sha256 < '8' ? 404 : 500).end()
    else sendContent(CONTENTS.get(sha256)!, request, response)
  })
  await using replica = await openReplica({ folder: folder.path, from: [node.url], threads: 2 })
  await replica.takeLog(primary)
  await replica.fetch.start()
  await replica.fetch.until(({ queued, failed }) => queued === 0 && failed === lost.size)
  expect(await stored(replica)).toEqual(all.filter((sha256) => !lost.has(sha256)))
  lost.clear()
  await replica.fetch.until(({ failed }) => failed === 0)
  expect(await stored(replica)).toEqual(all)
})

test('a file that is removed while it is fetched is no failure', async () => {
  await using folder = await tempFolder()
  const file = wheel('brief', '1.0')
  const brief = sha256Of(file.bytes)
  expect((await alice.upload('other', file)).ok).toBe(true)
  let answerLater = (): void => undefined
  const asked = new Promise<void>((resolve) => {
    answerLater = resolve
  })
  let refuse = (): void => undefined
  await using node = await fakeNode((sha256, request, response) => {
    if (sha256 !== brief) return sendContent(CONTENTS.get(sha256)!, request, response)
    refuse = () => { response.writeHead(404).end() }
    answerLater()
  })
  await using replica = await openReplica({ folder: folder.path, from: [node.url], undoWindowMs: Infinity })
  await replica.takeLog(primary)
  await replica.fetch.start()
  await asked
  expect((await alice.delete(`/alice/other/+f/${brief.slice(0, 3)}/${brief.slice(3, 16)}/${file.filename}?force`)).ok).toBe(true)
  await replica.takeLog(primary)
  refuse()
  await replica.fetch.until(({ queued, failed }) => queued === 0 && failed === 0)
  expect(await stored(replica)).toEqual(all)
  expect(node.asked.filter((one) => one === brief)).toHaveLength(1)
})

test('a primary that is away is waited for, and is nobody\'s failure', async () => {
  await using folder = await tempFolder()
  let isAway = true
  await using node = await fakeNode((sha256, request, response) => {
    if (isAway) request.socket.destroy()
    else sendContent(CONTENTS.get(sha256)!, request, response)
  })
  await using replica = await openReplica({ folder: folder.path, from: [node.url] })
  await replica.takeLog(primary)
  await replica.fetch.start()
  await replica.fetch.until(({ paused }) => paused !== undefined)
  expect(replica.fetch.status).toMatchObject({ failed: 0, paused: expect.stringMatching(/^127\.0\.0\.1:\d+ could not be reached \(\w+\)$/) })
  isAway = false
  await replica.fetch.until(({ queued }) => queued === 0)
  expect(await stored(replica)).toEqual(all)
  expect(replica.fetch.status).toMatchObject({ failed: 0, paused: undefined })
})

test('a replica that its primary does not know says so', async () => {
  await using folder = await tempFolder()
  await using replica = await openReplica({ folder: folder.path, from: [primary.url] }) // with a secret of its own
  await replica.takeLog(primary)
  await replica.fetch.start()
  await replica.fetch.until(({ paused }) => paused !== undefined)
  expect(replica.fetch.status.paused).toMatch(/does not take this server for a replica of its own \(403\)/)
  expect(await stored(replica)).toEqual([])
})

test('a full disk pauses the fetching until there is room', async () => {
  await using folder = await tempFolder()
  let free = 1000
  await using replica = await openReplica({ folder: folder.path, from: [primary.url], primary, freeBytes: () => Promise.resolve(free) })
  await replica.takeLog(primary)
  await replica.fetch.start()
  await replica.fetch.until(({ paused }) => paused !== undefined)
  expect(replica.fetch.status).toMatchObject({ failed: 0, paused: expect.stringMatching(/^the disk of this server has no room for another \d+ bytes/) })
  expect(await stored(replica)).toEqual([])
  free = 2 ** 40
  await replica.fetch.until(({ queued }) => queued === 0)
  expect(await stored(replica)).toEqual(all)
})

test('a content that is too large for the disk keeps no smaller one away', async () => {
  await using folder = await tempFolder()
  await using replica = await openReplica({ folder: folder.path, from: [primary.url], primary, freeBytes: () => Promise.resolve(128 * 2 ** 20 + 1_000_000) })
  await replica.takeLog(primary)
  await replica.fetch.start()
  await replica.fetch.until(({ queued, failed }) => queued === 0 && failed === 1)
  expect(await stored(replica)).toEqual(all.filter((sha256) => sha256 !== sha256Of(BIG.bytes)))
})

test.each([
  ['an index', { indexes: new Set(['alice/dev', 'alice/again']), types: new Set<string>() }, 1],
  ['a type', { indexes: new Set<string>(), types: new Set(['stage']) }, 0],
  ['another type', { indexes: new Set<string>(), types: new Set(['mirror']) }, 7],
  ['all', 'all' as const, 0],
])('files of %s are left out, and fetched when that is over', async (_, skipped, count) => {
  await using folder = await tempFolder()
  {
    await using replica = await openReplica({ folder: folder.path, from: [primary.url], primary, skipped })
    await replica.takeLog(primary)
    await replica.fetchAll()
    expect(await stored(replica)).toHaveLength(count)
  }
  await using replica = await openReplica({ folder: folder.path, from: [primary.url], primary })
  await replica.fetchAll()
  expect(await stored(replica)).toEqual(all)
})
