import { createHash } from 'node:crypto'
import { wheel } from '#test/support/archives.js'
import { Random } from '#test/support/random.js'
import { startServer, type TestServer, TestUser } from '#test/support/server.js'
import { SIMPLE_JSON, TestUpstream, text, type UpstreamFile } from '#test/support/upstream.js'
import { DAY, type ModelFile, NO_POLICY, type Past, PolicyModel, PROJECTS, randomPolicy, settingsFor, VERSIONS } from './policy-model.js'

/** `PROPERTY_ROUNDS=200 PROPERTY_SEED=1 npm test -- properties/policies` looks longer, or again where a failure was. */
const ROUNDS = Number(process.env['PROPERTY_ROUNDS'] ?? 12)
const SEED = Number(process.env['PROPERTY_SEED'] ?? Date.now() % 1e9)
const STAGES = ['s0', 's1', 's2', 's3'].map((name) => `alice/${name}`)
const MIRRORS = ['m0', 'm1'].map((name) => `alice/${name}`)
const QUARTER = DAY / 4

test(
  'no road leads to a file that a naive model hides, and each to what it shows',
  async () => {
    await using world = await World.create(new Random(SEED))
    try {
      for (let round = 0; round < ROUNDS; round += 1) await world.round()
    } catch (error) {
      throw new Error(`with PROPERTY_SEED=${SEED}`, { cause: error })
    }
    // It would prove nothing if everything or nothing had been hidden.
    expect(Math.min(world.counts.shown, world.counts.hidden, world.counts.refused, world.counts.fetched)).toBeGreaterThan(0)
  },
  60_000 + ROUNDS * 5000,
)

class World implements AsyncDisposable {
  readonly counts = { shown: 0, hidden: 0, refused: 0, fetched: 0 }
  readonly #model = new PolicyModel()
  readonly #random: Random
  readonly #server: TestServer
  readonly #alice: TestUser
  readonly #upstreams: ReadonlyMap<string, TestUpstream>
  readonly #offered = new Map<string, { readonly file: UpstreamFile; readonly uploaded: number | undefined; readonly version: string }[]>()
  /** Of each file by owner and name. */
  readonly #paths = new Map<string, string>()
  readonly #clock: { time: number }

  private constructor(random: Random, server: TestServer, upstreams: ReadonlyMap<string, TestUpstream>, clock: { time: number }) {
    this.#random = random
    this.#server = server
    this.#alice = new TestUser(server.fetch, 'alice', 'alice secret') // a login would not last for days
    this.#upstreams = upstreams
    this.#clock = clock
  }

  static async create(random: Random): Promise<World> {
    const clock = { time: Date.parse('2026-01-05T00:00:00Z') }
    const upstreams = new Map<string, TestUpstream>()
    for (const name of MIRRORS) upstreams.set(name, await TestUpstream.start())
    const server = await startServer({ config: { privateUpstreams: ['127.0.0.1'] }, now: () => clock.time })
    await server.signUp('alice')
    const world = new World(random, server, upstreams, clock)
    for (const [name, upstream] of upstreams) await world.#create(name, { type: 'mirror', mirror_url: upstream.url, mirror_cache_expiry: 60 })
    for (const name of STAGES) await world.#create(name, {})
    for (let count = 0; count < 8; count += 1) await world.#upload()
    for (let count = 0; count < 6; count += 1) await world.#publish()
    return world
  }

  /** Time passes, things change, and one page is looked at in all ways. */
  async round(): Promise<void> {
    this.#clock.time += (1 + this.#random.below(5)) * QUARTER
    for (let count = 0; count < 3; count += 1) {
      const change = this.#random.pick([this.#setPolicy, this.#setPolicy, this.#setBases, this.#setWhitelist, this.#upload, this.#publish])
      await change.call(this)
    }
    for (let count = 0; count < 3; count += 1) await this.#lookAt(this.#random.pick([...STAGES, ...STAGES, ...MIRRORS]), this.#random.pick(PROJECTS))
    this.#model.remember(this.#server.head())
    for (const past of [this.#random.pick(this.#model.pasts), this.#random.pick(this.#model.pasts)]) {
      await this.#lookBack(past, this.#random.pick([...STAGES, ...MIRRORS]), this.#random.pick(PROJECTS))
    }
    const files = [...this.#model.indexes.values()].flatMap((index) => [...index.files.values()])
    for (const wanted of [true, false, true, false]) {
      const some = files.filter((file) => this.#model.mayFetch(file, this.#clock.time) === wanted)
      if (some.length > 0) await this.#fetchFile(this.#random.pick(some))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]()
    for (const upstream of this.#upstreams.values()) await upstream[Symbol.asyncDispose]()
  }

  async #create(name: string, settings: object): Promise<void> {
    await done(this.#alice.put(`/${name}`, settings))
    const isMirror = MIRRORS.includes(name)
    this.#model.indexes.set(name, { name, isMirror, bases: [], whitelist: [], inheritance: 'intersection', policy: NO_POLICY, files: new Map(), projects: new Set() })
  }

  async #setPolicy(): Promise<void> {
    const index = this.#model.index(this.#random.pick([...STAGES, ...MIRRORS]))
    index.policy = randomPolicy(this.#random, this.#clock.time)
    await done(this.#alice.patch(`/${index.name}`, settingsFor(index.policy)))
  }

  /** Among all indexes, so that circles come about. */
  async #setBases(): Promise<void> {
    const index = this.#model.index(this.#random.pick(STAGES))
    index.bases = [...STAGES, ...MIRRORS].filter((name) => name !== index.name && this.#random.below(3) === 0)
    await done(this.#alice.patch(`/${index.name}`, { bases: index.bases }))
  }

  async #setWhitelist(): Promise<void> {
    const index = this.#model.index(this.#random.pick(STAGES))
    index.whitelist = [...PROJECTS, '*'].filter(() => this.#random.below(3) === 0)
    index.inheritance = this.#random.pick(['union', 'intersection'])
    await done(this.#alice.patch(`/${index.name}`, { mirror_whitelist: index.whitelist, mirror_whitelist_inheritance: index.inheritance }))
  }

  async #upload(): Promise<void> {
    const [owner, project, version] = [this.#random.pick(STAGES), this.#random.pick(PROJECTS), this.#random.pick(VERSIONS)]
    const { filename, bytes } = wheel(project, version, { padding: 1 + this.#random.below(50) })
    await done(this.#alice.upload(owner, { filename, bytes }))
    const path = `/${owner}/+f/${dirOf(bytes)}/${filename}`
    if (this.#paths.get(`${owner} ${filename}`) === path) return // the same again is no entry
    this.#learn({ owner, project, version, basename: filename, entered: this.#clock.time })
    this.#paths.set(`${owner} ${filename}`, path)
  }

  /** The upstream of a mirror gets a file, and may say when. */
  #publish(): Promise<void> {
    const [owner, project, version] = [this.#random.pick(MIRRORS), this.#random.pick(PROJECTS), this.#random.pick(VERSIONS)]
    const filename = wheel(project, version).filename
    const key = `${owner} ${project}`
    const offered = this.#offered.get(key) ?? []
    if (offered.some(({ file }) => file.filename === filename)) return Promise.resolve()
    const content = Buffer.from(`${owner} ${filename}`)
    const metadata = Buffer.from(`metadata of ${filename}`)
    const uploaded = this.#random.below(3) === 0 ? undefined : this.#clock.time - this.#random.below(9) * QUARTER
    const fields = { 'core-metadata': { sha256: sha256(metadata) }, ...(uploaded !== undefined && { 'upload-time': new Date(uploaded).toISOString() }) }
    this.#offered.set(key, [...offered, { file: { filename, content, fields }, uploaded, version }])
    const upstream = this.#upstreams.get(owner)
    upstream?.project(project, (this.#offered.get(key) ?? []).map(({ file }) => file))
    upstream?.on(`/files/${project}/${filename}.metadata`, text(metadata.toString()))
    this.#paths.set(`${owner} ${filename}`, `/${owner}/+f/${dirOf(content)}/${filename}`)
    return Promise.resolve()
  }

  #learn(file: ModelFile): void {
    const index = this.#model.index(file.owner)
    index.files = new Map([...index.files, [`${file.project}/${file.basename}`, file]])
    index.projects = new Set([...index.projects, file.project])
  }

  /** A request for a page has the mirrors that may add to it ask. */
  #askMirrors(start: string, project: string): void {
    if (!this.#model.mirrorsAdd(start, project)) return
    for (const owner of this.#model.order(start).filter((name) => MIRRORS.includes(name))) {
      const index = this.#model.index(owner)
      const isFirst = !index.projects.has(project)
      for (const { file, uploaded, version } of this.#offered.get(`${owner} ${project}`) ?? []) {
        if (index.files.has(`${project}/${file.filename}`)) continue
        const seen = this.#clock.time
        const entered = uploaded === undefined ? seen : isFirst ? uploaded : Math.max(seen, uploaded)
        this.#learn({ owner, project, version, basename: file.filename, entered })
      }
    }
  }

  async #lookAt(start: string, project: string): Promise<void> {
    this.#askMirrors(start, project)
    const expected = this.#model.page(start, project, this.#clock.time)
    this.counts.shown += expected?.shown.length ?? 0
    this.counts.hidden += expected?.hidden ?? 0
    for (const attempt of ['cold', 'warm']) await this.#comparePages(`${start} (${attempt})`, `/${start}/+simple/${project}/`, expected)
    await this.#comparePages(start, `/${start}/simple/${project}/`, expected)
    await this.#compareJson(start, project, expected)
    await this.#compareWhy(start, project, expected)
  }

  async #lookBack(past: Past, start: string, project: string): Promise<void> {
    const expected = this.#model.page(start, project, this.#clock.time, past)
    await this.#comparePages(`${start} as of ${past.serial}`, `/${start}/+at/${past.serial}/+simple/${project}/`, expected)
  }

  async #comparePages(what: string, path: string, expected: Expected): Promise<void> {
    const wanted = { status: expected === undefined ? 404 : 200, files: expected?.shown.map(nameOf).sort() ?? [], hidden: expected?.hidden ?? 0 }
    for (const accept of [SIMPLE_JSON, 'text/html']) {
      const reply = await this.#server.fetch(path, { headers: { accept } })
      const body = await reply.text()
      const hrefs = reply.ok ? [...body.matchAll(/(?:"url":|href=)"([^"#]*)/g)].map(([, href = '']) => new URL(href, this.#server.url + path).pathname) : []
      const files = hrefs.map((href) => href.replace(/^\/(\w+\/\w+)\/(?:\+at\/\d+\/)?\+f\/.*\/([^/]*)$/, '$1 $2')).sort()
      const hidden = Number(/^hidden=(\d+)/.exec(reply.headers.get('x-devpi-policy') ?? '')?.[1] ?? 0)
      expect([what, accept, { status: reply.status, files, hidden }]).toEqual([what, accept, wanted])
      if (accept === SIMPLE_JSON && reply.ok) {
        const { versions } = JSON.parse(body) as { versions: string[] }
        expect([what, versions]).toEqual([what, [...new Set(expected?.shown.map(({ version }) => version))].sort()])
      }
    }
  }

  async #compareJson(start: string, project: string, expected: Expected): Promise<void> {
    const reply = await this.#server.fetch(`/${start}/${project}`, { headers: { accept: 'application/json' } })
    const body = await reply.text()
    const shown = new Set(expected?.shown.map(({ version }) => version))
    const found = reply.ok ? Object.keys((JSON.parse(body) as { result: object }).result) : []
    expect([start, project, found.sort()]).toEqual([start, project, [...shown].sort()])
    for (const version of VERSIONS) {
      const one = await this.#server.fetch(`/${start}/${project}/${version}`, { headers: { accept: 'application/json' } })
      await one.arrayBuffer()
      expect([start, project, version, one.ok]).toEqual([start, project, version, shown.has(version)])
    }
  }

  async #compareWhy(start: string, project: string, expected: Expected): Promise<void> {
    const reply = await this.#server.fetch(`/${start}/+why/${project}`, { headers: { accept: 'application/json' } })
    const { result } = (await reply.json()) as { result: { sees: { files: number }; hiddenCount: number; mirrors: { open: boolean } } }
    const found = [result.sees.files, result.hiddenCount, result.mirrors.open]
    expect([start, project, ...found]).toEqual([start, project, expected?.shown.length ?? 0, expected?.hidden ?? 0, this.#model.mirrorsAdd(start, project)])
  }

  async #fetchFile(file: ModelFile): Promise<void> {
    const path = this.#paths.get(`${file.owner} ${file.basename}`) ?? ''
    const may = this.#model.mayFetch(file, this.#clock.time)
    this.counts[may ? 'fetched' : 'refused'] += 1
    const roads: readonly (readonly [string, RequestInit, number])[] = [
      [path, {}, 200],
      [path, {}, 200],
      [path, { method: 'HEAD' }, 200],
      [path, { headers: { range: 'bytes=0-3' } }, 206],
      [path, { headers: { 'if-none-match': '*' } }, 304],
      [`${path}.metadata`, {}, 200],
      [`${path}.metadata`, { method: 'HEAD' }, 200],
      [path.replace('/+f/', `/+at/${this.#server.head()}/+f/`), {}, 200],
    ]
    for (const [at, init, status] of roads) {
      const reply = await this.#server.fetch(at, init)
      const body = await reply.text()
      expect([nameOf(file), at, init, reply.status]).toEqual([nameOf(file), at, init, may ? status : 403])
      if (!may && init.method !== 'HEAD') expect(body).toContain('is hidden by')
    }
  }
}

type Expected = ReturnType<PolicyModel['page']>

function nameOf({ owner, basename }: ModelFile): string {
  return `${owner} ${basename}`
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function dirOf(bytes: Uint8Array): string {
  const digest = sha256(bytes)
  return `${digest.slice(0, 3)}/${digest.slice(3, 16)}`
}

async function done(reply: Promise<Response>): Promise<void> {
  const found = await reply
  if (!found.ok) throw new Error(`${found.url}: ${found.status} ${await found.text()}`)
}
