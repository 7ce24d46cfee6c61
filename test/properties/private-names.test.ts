import { sdist, wheel } from '#test/support/archives.js'
import { Random } from '#test/support/random.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { SIMPLE_JSON, TestUpstream } from '#test/support/upstream.js'

/** `PRIVATE_NAME_OPERATIONS=10000 npm test -- private-names` is the whole of it. */
const OPERATIONS = Number(process.env['PRIVATE_NAME_OPERATIONS'] ?? 1200)
const SEED = Number(process.env['PROPERTY_SEED'] ?? Date.now() % 1e9)
const PRIVATE = Array.from({ length: 12 }, (_, at) => `private-${at}`)
const PUBLIC = ['public-a', 'public-b']
const STAGES = ['deep', 'base', 'dev', 'child'].map((name) => `alice/${name}`)
const PARALLEL = 8

test(
  'whatever is done with private names, no upstream hears of one',
  async () => {
    await using upstream = await TestUpstream.start()
    await using server = await startServer({ config: { privateUpstreams: ['127.0.0.1'] } })
    const alice = await server.signUp('alice', { mirror: { type: 'mirror', mirror_url: upstream.url, mirror_cache_expiry: 0 } })
    for (const [at, name] of STAGES.entries()) await done(alice.put(`/${name}`, { bases: [...STAGES.slice(0, at).slice(-1), 'alice/mirror'] }))
    for (const name of PRIVATE) await done(alice.upload('deep', wheel(name, '1.0')))
    for (const name of PUBLIC) upstream.project(name, [{ filename: `${name.replace('-', '_')}-1.0.tar.gz`, content: Buffer.from(name) }])
    const random = new Random(SEED)
    const operations = new Operations(server, alice, random)
    for (let count = 0; count < OPERATIONS; count += PARALLEL) {
      if (random.below(10) === 0) await operations.change()
      await Promise.all(Array.from({ length: PARALLEL }, () => operations.ask()))
    }
    const heard = upstream.asked.map(({ path }) => path).filter((path) => path.includes('private'))
    expect([SEED, heard]).toEqual([SEED, []])
    expect(upstream.count('/simple/public-a/')).toBeGreaterThan(5)
    expect(operations.answered).toBeGreaterThan(OPERATIONS / 2)
  },
  60_000 + OPERATIONS * 40,
)

/** What users and their tools do. `alice/deep` is a base of all others, so that its names stay private. */
class Operations {
  /** Requests that were answered with what they asked for. */
  answered = 0
  readonly #server: TestServer
  readonly #alice: TestUser
  readonly #random: Random

  constructor(server: TestServer, alice: TestUser, random: Random) {
    this.#server = server
    this.#alice = alice
    this.#random = random
  }

  async change(): Promise<void> {
    const [name, stage] = [this.#random.pick(PRIVATE), this.#random.pick(STAGES.slice(1))]
    const changes: readonly (() => Promise<Response>)[] = [
      () => this.#alice.upload(stage, this.#random.pick([wheel, sdist])(name, `1.${this.#random.below(20)}`)),
      () => this.#alice.patch(`/${stage}`, { bases: ['alice/deep', ...this.#some(['alice/mirror', ...STAGES.slice(1)]).filter((base) => base !== stage)] }),
      () => this.#alice.patch(`/${stage}`, { mirror_whitelist: this.#some(PUBLIC), mirror_whitelist_inheritance: this.#random.pick(['union', 'intersection']) }),
      () => this.#alice.patch(`/${stage}`, { constraints: this.#random.pick([null, [`!${name}`], ['!*', 'public-a']]), min_release_age: this.#random.pick([null, '1d']) }),
      () => this.#alice.post('/alice/deep', { name, version: '1.0', targetindex: stage }),
      () => this.#alice.delete(`/${stage}/${name}`),
    ]
    await (await this.#random.pick(changes)()).arrayBuffer()
  }

  async ask(): Promise<void> {
    const isPublic = this.#random.below(12) === 0
    const name = this.#spelled(this.#random.pick(isPublic ? PUBLIC : PRIVATE))
    const at = `/${this.#random.pick(STAGES)}`
    const accept = this.#random.pick([SIMPLE_JSON, 'text/html', 'application/json', '*/*'])
    const paths = [
      `${at}/+simple/${name}/`,
      `${at}/+simple/${name}/`,
      `${at}/simple/${name}`,
      `${at}/${name}`,
      `${at}/${name}/1.0`,
      `${at}/${name}/1.0/+doc/`,
      `${at}/${name}/1.0/+toxresults`,
      `${at}/+at/${this.#random.below(this.#server.head() + 1)}/+simple/${name}/`,
      `${at}/+why/${name}`,
      `${at}/+simple/`,
    ]
    const headers = { accept, ...(this.#random.below(3) === 0 && { 'user-agent': 'pip/25.0' }), ...(this.#random.below(4) === 0 && { 'cache-control': 'no-cache' }) }
    const chosen = this.#random.below(20)
    const reply = await (chosen === 0
      ? this.#alice.fetch(`${at}/+simple/${name}/refresh`, { method: 'POST', headers: { accept } })
      : chosen === 1
        ? this.#alice.post(`${at}/+policy-simulate`, { min_release_age: '1d', projects: [name] })
        : this.#alice.fetch(this.#random.pick(paths), { method: this.#random.pick(['GET', 'GET', 'GET', 'HEAD']), redirect: 'follow', headers }))
    await reply.arrayBuffer()
    if (reply.status >= 500) throw new Error(`${reply.url}: ${reply.status}, with PROPERTY_SEED=${SEED}`)
    if (reply.status < 400) this.answered += 1
  }

  #some<T>(items: readonly T[]): T[] {
    return items.filter(() => this.#random.below(2) === 0)
  }

  #spelled(name: string): string {
    return this.#random.pick([name, name, name, name.toUpperCase(), name.replace('-', '_'), name.replace('-', '.'), name.replace('-', '--')])
  }
}

async function done(reply: Promise<Response>): Promise<void> {
  const found = await reply
  if (!found.ok) throw new Error(`${found.url}: ${found.status} ${await found.text()}`)
}
