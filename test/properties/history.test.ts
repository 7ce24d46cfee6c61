import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestHex } from '#log-format/chain.js'
import { ALL_PROJECTIONS } from '#server/projections/all.js'
import { verifyStore } from '#server/storage/verify.js'
import { wheel } from '#test/support/archives.js'
import { Random } from '#test/support/random.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

const INDEXES = ['dev', 'base'] as const
const PROJECTS = ['alpha', 'beta'] as const
/** Newest first, as pages have them. */
const VERSIONS = ['2.0', '1.1', '1.0', '1.0rc1'] as const
const TAGS = ['py3-none-any', 'py2-none-any'] as const
const SPELLINGS = { html: 'text/html', json: 'application/vnd.pypi.simple.v1+json' } as const
const STEPS = 160
const PAST_SERIALS = 50

type IndexName = (typeof INDEXES)[number]

interface ModelVersion {
  yanked: string | undefined
  readonly files: Map<string, { sha256: string; yanked: string | undefined }>
}

/** What the server should show, kept as plainly as can be. */
class Model {
  readonly #indexes = new Map<string, Map<string, ModelVersion>>()
  inherits = false

  versions(index: IndexName, project: string): Map<string, ModelVersion> {
    const key = `${index}/${project}`
    const found = this.#indexes.get(key) ?? new Map<string, ModelVersion>()
    this.#indexes.set(key, found)
    return found
  }

  /** File name, digest and reason of each line of a page; undefined for a project that nobody has. */
  page(index: IndexName, project: string): string[] | undefined {
    const order: IndexName[] = index === 'dev' && this.inherits ? ['dev', 'base'] : [index]
    const lines: string[] = []
    const seen = new Set<string>()
    let exists = false
    for (const one of order) {
      const versions = this.versions(one, project)
      exists ||= versions.size > 0
      for (const version of VERSIONS) {
        const found = versions.get(version)
        for (const [file, { sha256, yanked }] of [...(found?.files ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))) {
          if (seen.has(file)) continue
          seen.add(file)
          lines.push(`${file} ${sha256} ${String(yanked ?? found?.yanked)}`)
        }
      }
    }
    return exists ? lines : undefined
  }
}

interface Recorded {
  readonly serial: number
  readonly path: string
  readonly accept: string
  readonly status: number
  readonly body: string
}

test(
  'pages equal a naive model, past ones the bytes of their time, and the log folds to the same rows',
  async () => {
    const seed = Date.now() % 1e9
    const random = new Random(seed)
    const serverDir = await mkdtemp(join(tmpdir(), 'devpi-history-'))
    try {
      await using server = await startServer({ serverDir })
      const alice = await server.signUp('alice', { base: {}, dev: {} })
      const model = new Model()
      const recorded: Recorded[] = []
      const etags = new Map<string, { etag: string; body: string }>()
      for (let step = 0; step < STEPS; step += 1) {
        await change(alice, model, random)
        await recordPages(server, model, recorded, etags)
      }
      await comparePast(server, recorded, random)
      await server.stop()
      const findings: string[] = []
      await verifyStore({ folder: serverDir, projections: ALL_PROJECTIONS, onFinding: ({ message }) => findings.push(message) })
      expect(findings).toEqual([])
    } catch (error) {
      throw new Error(`with seed ${seed}`, { cause: error })
    } finally {
      await rm(serverDir, { recursive: true, force: true })
    }
  },
  120_000,
)

test('two servers that are asked the same at the same times have the same digests', async () => {
  const digests = []
  for (let run = 0; run < 2; run += 1) {
    let time = 1_700_000_000_000
    let requests = 0
    await using server = await startServer({ now: () => (time += 1000), newRequestId: () => `request ${(requests += 1)}` })
    const alice = await server.signUp('alice', { base: {}, dev: {} })
    const model = new Model()
    const random = new Random(11)
    for (let step = 0; step < 60; step += 1) await change(alice, model, random)
    digests.push(`${server.head()} ${digestHex(server.running.storage.head.digest)}`)
  }
  expect(digests[0]).toBe(digests[1])
})

/** One random change, on the server and in the model. */
async function change(alice: TestUser, model: Model, random: Random): Promise<void> {
  const index = random.pick(INDEXES)
  const project = random.pick(PROJECTS)
  const versions = model.versions(index, project)
  const present = [...versions.keys()]
  const choice = random.below(12)
  if (choice === 0) {
    model.inherits = !model.inherits
    await expectDone(alice.patch('/alice/dev', [model.inherits ? 'bases=alice/base' : 'bases=']))
  } else if (choice === 1 && present.length > 0) {
    versions.clear()
    await expectDone(alice.delete(`/alice/${index}/${project}`))
  } else if (choice === 2 && present.length > 0) {
    const version = random.pick(present)
    versions.delete(version)
    await expectDone(alice.delete(`/alice/${index}/${project}/${version}`))
  } else if (choice <= 4 && present.length > 0) {
    const version = random.pick(present)
    const found = versions.get(version)!
    found.yanked = random.pick([undefined, '', 'broken <&>'])
    await expectDone(alice.patch(`/alice/${index}/${project}/${version}`, { yanked: bodyOf(found.yanked) }))
  } else if (choice <= 6 && present.length > 0) {
    const version = random.pick(present)
    const found = versions.get(version)!
    const [file, value] = random.pick([...found.files])
    const path = `/alice/${index}/+f/${value.sha256.slice(0, 3)}/${value.sha256.slice(3, 16)}/${file}`
    if (random.below(2) === 0) {
      found.files.delete(file)
      if (found.files.size === 0) versions.delete(version)
      await expectDone(alice.delete(path))
    } else if (found.yanked === undefined) {
      value.yanked = random.pick([undefined, '', 'bad file'])
      await expectDone(alice.patch(path, { yanked: bodyOf(value.yanked) }))
    }
  } else {
    const version = random.pick(VERSIONS)
    const built = wheel(project, version, { tag: random.pick(TAGS), extra: { 'x.txt': Buffer.from(String(random.below(3))) } })
    const sha256 = createHash('sha256').update(built.bytes).digest('hex')
    const found = versions.get(version) ?? { yanked: undefined, files: new Map() }
    versions.set(version, found)
    if (found.files.get(built.filename)?.sha256 !== sha256) found.files.set(built.filename, { sha256, yanked: undefined })
    await expectDone(alice.upload(index, built))
  }
}

/** Records every page as it is now, compares it with the model, and its ETag with those before. */
async function recordPages(
  server: TestServer,
  model: Model,
  recorded: Recorded[],
  etags: Map<string, { etag: string; body: string }>,
): Promise<void> {
  const serial = server.head()
  for (const index of INDEXES) {
    for (const project of PROJECTS) {
      for (const [spelling, accept] of Object.entries(SPELLINGS)) {
        const path = `/+simple/${project}/`
        const reply = await server.fetch(`/alice/${index}${path}`, { headers: { Accept: accept } })
        const body = await reply.text()
        const expected = model.page(index, project)
        expect(reply.status).toBe(expected === undefined ? 404 : 200)
        recorded.push({ serial, path: `${index} ${path}`, accept, status: reply.status, body })
        if (expected === undefined) continue
        if (spelling === 'json') expect(linesOf(body)).toEqual(expected)
        checkEtag(etags, `${index} ${path} ${accept}`, reply.headers.get('etag') ?? '', body)
      }
    }
  }
}

/** Equal ETags stand for equal bytes. */
function checkEtag(etags: Map<string, { etag: string; body: string }>, page: string, etag: string, body: string): void {
  expect(etag).toMatch(/^"[\w-]{22}"$/)
  const before = etags.get(`${page} ${etag}`)
  if (before !== undefined) expect(body).toBe(before.body)
  etags.set(`${page} ${etag}`, { etag, body })
}

async function comparePast(server: TestServer, recorded: readonly Recorded[], random: Random): Promise<void> {
  for (let check = 0; check < PAST_SERIALS; check += 1) {
    const { serial, path, accept, status, body } = random.pick(recorded)
    const [index = '', page = ''] = path.split(' ')
    const reply = await server.fetch(`/alice/${index}/+at/${serial}${page}`, { headers: { Accept: accept } })
    const past = await reply.text()
    expect(reply.status).toBe(status)
    // Links to the own index are the same from there; those to another have to climb over `+at/{serial}/` and name it again.
    if (status === 200) expect(past.replaceAll(`../../../../../base/+at/${serial}/`, '../../../base/')).toBe(body)
  }
}

function linesOf(body: string): string[] {
  const { files } = JSON.parse(body) as { files: { filename: string; hashes: { sha256: string }; yanked?: string | boolean }[] }
  return files.map(({ filename, hashes, yanked }) => `${filename} ${hashes.sha256} ${yanked === true ? '' : String(yanked)}`)
}

function bodyOf(reason: string | undefined): string | boolean {
  return reason === undefined ? false : reason
}

async function expectDone(reply: Promise<Response>): Promise<void> {
  const found = await reply
  if (!found.ok) throw new Error(`${found.url}: ${found.status} ${await found.text()}`)
}
