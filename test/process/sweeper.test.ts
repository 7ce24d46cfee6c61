import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sweepOnce } from '#server/process/sweeper.js'
import { ALL_PROJECTIONS } from '#server/projections/all.js'
import { verifyStore } from '#server/storage/verify.js'
import { wheel, type ReleaseFile } from '#test/support/archives.js'
import { startServer, type TestServer, TestUser } from '#test/support/server.js'

const HOUR_MS = 60 * 60 * 1000
const DAY_MS = 24 * HOUR_MS
const FILE = wheel('demo', '1.0')

/** Of the server; files, which have the real time, are older than the grace of a sweep. */
let now: number
beforeEach(() => {
  now = Date.now() + DAY_MS
})

/** With a password, which lasts longer than a token. */
async function signUp(server: TestServer, indexes: Readonly<Record<string, object>>): Promise<TestUser> {
  await server.signUp('alice', indexes)
  return new TestUser(server.fetch, 'alice', 'alice secret')
}

function sha256Of({ bytes }: ReleaseFile): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function pathOf(file: ReleaseFile): string {
  return `/+f/${sha256Of(file).slice(0, 3)}/${sha256Of(file).slice(3, 16)}/${file.filename}`
}

/** How many blobs a sweep takes. */
async function sweep({ running: { storage, blobs } }: TestServer, undoWindowMs: number): Promise<number> {
  return (await sweepOnce({ storage, blobs, undoWindowMs, now: () => now })).removed
}

test.each<[string, number, number]>([
  ['30 days', 30 * DAY_MS, 30 * DAY_MS],
  ['12 hours', 12 * HOUR_MS, 12 * HOUR_MS],
  ['no time', 0, 0],
])('a removed file is kept for %s', async (_, window, lastsMs) => {
  await using server = await startServer({ now: () => now, config: { undoWindowMs: Infinity } })
  const alice = await signUp(server, { dev: {}, copy: {} })
  await alice.upload('dev', FILE)
  await alice.upload('copy', FILE)
  const uploaded = server.head()
  now += 400 * DAY_MS
  expect(await sweep(server, window)).toBe(0) // named, however long
  await alice.delete('/alice/dev/demo')
  now += 400 * DAY_MS
  expect(await sweep(server, window)).toBe(0) // named by another link
  const removed = Number((await alice.delete('/alice/copy/demo')).headers.get('x-devpi-serial'))

  now += lastsMs
  expect(await sweep(server, window)).toBe(0)
  expect((await server.fetch(`/alice/dev/+at/${uploaded}${pathOf(FILE)}`)).status).toBe(200)
  now += 1
  expect(await sweep(server, Infinity)).toBe(0)
  expect(await sweep(server, window)).toBe(1)
  expect(await server.running.blobs.stat(sha256Of(FILE))).toBeUndefined()
  expect((await alice.post('/+undo', { serial: removed })).status).toBe(410)
})

test('what is undone or uploaded again is named again', async () => {
  await using server = await startServer({ now: () => now })
  const alice = await signUp(server, { dev: {} })
  for (const again of ['undo', 'upload'] as const) {
    await alice.upload('dev', FILE)
    const serial = Number((await alice.delete('/alice/dev/demo')).headers.get('x-devpi-serial'))
    now += 31 * DAY_MS
    if (again === 'undo') await alice.post('/+undo', { serial })
    else await alice.upload('dev', FILE)
    expect(await sweep(server, 30 * DAY_MS)).toBe(0)
    expect((await server.fetch(`/alice/dev${pathOf(FILE)}`)).status).toBe(200)
  }
})

test('the past says what is no longer kept, and nothing is missing from the present', async () => {
  const serverDir = await mkdtemp(join(tmpdir(), 'devpi-sweep-'))
  try {
    const kept = wheel('demo', '2.0')
    {
      await using server = await startServer({ serverDir, now: () => now, config: { undoWindowMs: 7 * DAY_MS } })
      const alice = await signUp(server, { dev: {} })
      await alice.upload('dev', FILE)
      await alice.upload('dev', kept)
      const uploaded = server.head()
      await alice.upload('dev', wheel('demo', '1.0', { padding: 1 })) // a file that is replaced is removed as well
      now += 9 * DAY_MS
      expect(await sweep(server, 7 * DAY_MS)).toBe(1)

      for (const path of [pathOf(FILE), `${pathOf(FILE)}.metadata`]) {
        const reply = await server.fetch(`/alice/dev/+at/${uploaded}${path}`, { headers: { Accept: 'text/html' } })
        expect([reply.status, await reply.text()]).toEqual([410, expect.stringContaining('the file was removed 9 days ago and is no longer kept')])
      }
      expect((await server.fetch(`/alice/dev/+at/${uploaded}${pathOf(FILE)}`, { method: 'HEAD' })).status).toBe(410)
      expect((await server.fetch(`/alice/dev/+at/${uploaded}${pathOf(kept)}`)).status).toBe(200)
      expect((await server.fetch(`/alice/dev/+at/${uploaded}/+simple/demo/`)).status).toBe(200) // pages are of the log
      await server.stop()
    }
    const findings: string[] = []
    const blobs = { verify: () => Promise.resolve('ok' as const), list: async function* list() { /* none */ } }
    const report = await verifyStore({ folder: serverDir, projections: ALL_PROJECTIONS, blobs, onFinding: ({ message }) => findings.push(message) })
    expect([findings, report.blobs]).toEqual([[], 2])
  } finally {
    await rm(serverDir, { recursive: true, force: true })
  }
})

test('a server sweeps when it starts, and says so', async () => {
  const serverDir = await mkdtemp(join(tmpdir(), 'devpi-sweep-'))
  try {
    {
      await using server = await startServer({ serverDir, now: () => now })
      const alice = await signUp(server, { dev: {} })
      await alice.upload('dev', FILE)
      await alice.delete('/alice/dev/demo')
    }
    now += 31 * DAY_MS
    await using server = await startServer({ serverDir, now: () => now })
    while ((await server.running.blobs.stat(sha256Of(FILE))) !== undefined) await new Promise(setImmediate)
    while (server.log.length === 0) await new Promise(setImmediate)
    expect(server.log.join('')).toContain('removed files that nothing names')
  } finally {
    await rm(serverDir, { recursive: true, force: true })
  }
})
