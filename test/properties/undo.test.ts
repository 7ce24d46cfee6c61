import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keys } from '#log-format/keys.js'
import { ALL_PROJECTIONS } from '#server/projections/all.js'
import { verifyStore } from '#server/storage/verify.js'
import { sdist, wheel } from '#test/support/archives.js'
import { Random } from '#test/support/random.js'
import { startServer, type TestServer, TestUser } from '#test/support/server.js'

const INDEXES = ['dev', 'base'] as const
const PROJECTS = ['alpha', 'beta'] as const
const VERSIONS = ['2.0', '1.0', '1.0rc1'] as const
const SPELLINGS = ['text/html', 'application/vnd.pypi.simple.v1+json', 'application/json'] as const
const ROUNDS = 14
const CHANGES_A_ROUND = 4

test('a removal that is undone leaves every page, every reply and every key as they were', async () => {
  const seed = Date.now() % 1e9
  const random = new Random(seed)
  const serverDir = await mkdtemp(join(tmpdir(), 'devpi-undo-'))
  try {
    await using server = await startServer({ serverDir })
    await server.signUp('alice', { base: {}, dev: { bases: ['alice/base'] } })
    const alice = new TestUser(server.fetch, 'alice', 'alice secret')
    const root = await server.root()
    for (let round = 0; round < ROUNDS; round += 1) {
      for (let step = 0; step < CHANGES_A_ROUND; step += 1) await change(alice, random)
      const before = await stateOf(server)
      const path = random.pick(random.pick(await removable(server)))
      const removed = await expectDone(root.delete(path))
      expect(await stateOf(server)).not.toEqual(before)
      await expectDone(root.post('/+undo', { serial: Number(removed.headers.get('x-devpi-serial')) }))
      expect({ path, ...(await stateOf(server)) }).toEqual({ path, ...before })
      if (path === '/alice') await expectDone(root.patch('/alice', { password: 'alice secret' }))
    }
    await server.stop()
    const findings: string[] = []
    await verifyStore({ folder: serverDir, projections: ALL_PROJECTIONS, onFinding: ({ message }) => findings.push(message) })
    expect(findings).toEqual([])
  } catch (error) {
    throw new Error(`with seed ${seed}`, { cause: error })
  } finally {
    await rm(serverDir, { recursive: true, force: true })
  }
}, 120_000)

/** One random upload, yank, test report, or removal that stays. */
async function change(alice: TestUser, random: Random): Promise<void> {
  const index = random.pick(INDEXES)
  const project = random.pick(PROJECTS)
  const version = random.pick(VERSIONS)
  const choice = random.below(8)
  const build = random.pick([wheel, sdist])
  const extra = { 'x.txt': Buffer.from(String(random.below(3))) }
  if (choice === 0) await alice.delete(`/alice/${index}/${project}/${version}`)
  else if (choice === 1) await alice.patch(`/alice/${index}/${project}/${version}`, { yanked: random.pick([false, '', 'broken <&>']) })
  else await expectDone(alice.upload(index, build(project, version, { extra })))
  if (choice === 7) {
    const reply = await alice.get(`/alice/${index}/${project}/${version}`)
    const { result } = (await reply.json()) as { result: { '+links': { href: string }[] } }
    const { href } = random.pick(result['+links'])
    await alice.post(new URL(href).pathname, { testenvs: {} })
  }
}

/** Paths that can be removed, by kind; every list has one. */
async function removable({ running: { storage } }: TestServer): Promise<string[][]> {
  const reader = storage.reader()
  const found: string[][] = [['/alice'], INDEXES.map((index) => `/alice/${index}`)]
  for (const range of [keys.project.under(), keys.version.under()]) {
    const paths: string[] = []
    for await (const { segments } of reader.scan<unknown>(range)) paths.push(`/${segments.join('/')}`)
    found.push(paths)
  }
  const files: string[] = []
  for await (const { segments } of reader.scan(keys.file.under())) {
    const [user, index, ...path] = segments
    if (!path.join('/').includes('toxresult')) files.push(`/${user}/${index}/+f/${path.join('/')}`)
  }
  return [...found, files].filter(({ length }) => length > 0)
}

/** All keys, and all that a client sees, but for serials. */
async function stateOf(server: TestServer): Promise<{ readonly stored: object; readonly seen: object }> {
  const reader = server.running.storage.reader()
  const stored: Record<string, unknown> = {}
  for (const { under, family } of Object.values(keys)) {
    for await (const { segments, value } of reader.scan<unknown>(under())) stored[[family, ...segments].join(' ')] = value
  }
  const seen: Record<string, unknown> = {}
  for (const index of INDEXES) {
    for (const page of ['', '/+simple/', ...PROJECTS.flatMap((project) => [`/${project}`, `/+simple/${project}/`])]) {
      for (const accept of SPELLINGS) {
        const reply = await server.fetch(`/alice/${index}${page}`, { headers: { Accept: accept } })
        seen[`${index} ${page} ${accept}`] = [reply.status, await reply.text()]
      }
    }
  }
  for await (const { segments: [user, index, ...path] } of reader.scan(keys.file.under())) {
    const url = `/${user}/${index}/+f/${path.join('/')}`
    const reply = await server.fetch(url)
    seen[url] = [reply.status, reply.headers.get('last-modified'), reply.headers.get('etag')]
    await reply.arrayBuffer()
  }
  return { stored, seen }
}

async function expectDone(reply: Promise<Response>): Promise<Response> {
  const found = await reply
  if (!found.ok) throw new Error(`${found.url}: ${found.status} ${await found.text()}`)
  return found
}
