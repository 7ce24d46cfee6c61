import { evictOnce, type EvictionCounts } from '#server/process/evictor.js'
import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { sha256Of, TestUpstream } from '#test/support/upstream.js'

const MINUTE_MS = 60_000
const SIZE = 1000
const CONFIG = { privateUpstreams: ['127.0.0.1'] }

let upstream: TestUpstream
let time = 0
const now = (): number => time
/** Ahead of the clock of the disk. */
beforeEach(() => { time = Date.now() + 24 * 60 * MINUTE_MS })
beforeAll(async () => { upstream = await TestUpstream.start() })
afterAll(() => upstream[Symbol.asyncDispose]())

/** A server on whose mirror a project has so many files, each of other bytes. */
class Cache implements AsyncDisposable {
  readonly server: TestServer
  readonly alice: TestUser
  readonly #project: string
  readonly #contents: readonly Buffer[]

  private constructor(server: TestServer, alice: TestUser, project: string, contents: readonly Buffer[]) {
    this.server = server
    this.alice = alice
    this.#project = project
    this.#contents = contents
  }

  static async start(project: string, contents: readonly Buffer[], config: object = {}): Promise<Cache> {
    upstream.project(project, contents.map((content, at) => ({ filename: `${project}-${at}.0.zip`, content })))
    const server = await startServer({ config: { ...CONFIG, ...config }, now })
    const alice = await server.signUp('alice', { mirror: { type: 'mirror', mirror_url: upstream.url }, dev: {} })
    await server.fetch(`/alice/mirror/+simple/${project}/`)
    return new Cache(server, alice, project, contents)
  }

  async fetch(at: number): Promise<void> {
    const sha256 = this.digest(at)
    const path = `/alice/mirror/+f/${sha256.slice(0, 3)}/${sha256.slice(3, 16)}/${this.#project}-${at}.0.zip`
    expect(Buffer.from(await (await this.server.fetch(path)).arrayBuffer()).equals(this.#contents[at] ?? Buffer.alloc(0))).toBe(true)
  }

  digest(at: number): string {
    return sha256Of(this.#contents[at] ?? Buffer.alloc(0))
  }

  /** Numbers of the files that lie here. */
  async stored(): Promise<number[]> {
    const found = await Promise.all(this.#contents.map(async (_, at) => ((await this.server.running.blobs.stat(this.digest(at))) === undefined ? [] : [at])))
    return found.flat()
  }

  evict(mostBytes: number, undoWindowMs = 0): Promise<EvictionCounts> {
    const { storage, blobs } = this.server.running
    return evictOnce({ storage, blobs, mostBytes, undoWindowMs, now })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
  }
}

function contents(count: number): Buffer[] {
  return Array.from({ length: count }, (_, at) => Buffer.alloc(SIZE, `content ${at} `))
}

test('what was not used for the longest goes first, until there is room, and is fetched again', async () => {
  await using cache = await Cache.start('oldest', contents(6))
  for (let at = 0; at < 6; at += 1) {
    await cache.fetch(at)
    await cache.server.running.blobs.markUsed(cache.digest(at), time - (at === 1 ? 1 : 60 - at) * 10 * MINUTE_MS)
  }
  expect(await cache.evict(6 * SIZE)).toEqual({ bytes: 6 * SIZE, removed: 0, removedBytes: 0 })
  expect(await cache.evict(4 * SIZE)).toEqual({ bytes: 3 * SIZE, removed: 3, removedBytes: 3 * SIZE })
  expect(await cache.stored()).toEqual([1, 4, 5])
  await cache.fetch(0)
  expect(upstream.count('/files/oldest/oldest-0.0.zip')).toBe(2)
})

test('what was used or came within a minute stays, however little room there is', async () => {
  await using cache = await Cache.start('grace', contents(2))
  for (const at of [0, 1]) await cache.fetch(at)
  await cache.server.running.blobs.markUsed(cache.digest(1), time - MINUTE_MS / 2)
  await cache.evict(1)
  expect(await cache.stored()).toEqual([1])
})

test('what a release is, or was within the undo window, and what somebody reads, stays', async () => {
  const [kept, undone] = [wheel('kept', '1.0'), wheel('undone', '1.0')]
  await using cache = await Cache.start('shared', [kept.bytes, undone.bytes, ...contents(2)].map((bytes) => Buffer.from(bytes)))
  for (const at of [0, 1, 2, 3]) await cache.fetch(at)
  await cache.alice.upload('dev', kept)
  await cache.alice.upload('dev', undone)
  expect((await cache.alice.delete('/alice/dev/undone')).status).toBe(200)
  time += 10 * MINUTE_MS
  using _ = cache.server.running.blobs.pin(cache.digest(3))
  await cache.evict(0, 20 * MINUTE_MS)
  expect(await cache.stored()).toEqual([0, 1, 3])
  time += 20 * MINUTE_MS
  await cache.evict(0, 20 * MINUTE_MS)
  expect(await cache.stored()).toEqual([0, 3])
})

test('a server with a limit keeps to it as it goes on, and what is asked for stays', async () => {
  await using cache = await Cache.start('limited', contents(4), { mirrorCacheBytes: 3 * SIZE })
  time = Date.now()
  for (const at of [0, 1, 2]) {
    await cache.fetch(at)
    await cache.server.running.blobs.markUsed(cache.digest(at), time - (100 - at) * MINUTE_MS)
  }
  await cache.fetch(0) // used again
  await cache.fetch(3)
  while ((await cache.stored()).length > 2) await new Promise(setImmediate)
  expect(await cache.stored()).toEqual([0, 3])
})
