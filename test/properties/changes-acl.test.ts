import type { ChangesJson } from '#log-format/api/changes.js'
import { Random } from '#test/support/random.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

const USERS = ['alice', 'bob', 'carol'] as const
const INDEXES = ['dev', 'prod', 'old'] as const
const STEPS = 160

type User = (typeof USERS)[number]

interface ModelIndex {
  readers: readonly string[] | undefined
  uploaders: readonly string[]
}

interface ModelUser {
  /** Tells a user from an earlier one of the same name. */
  readonly life: number
  readonly indexes: Map<string, { readonly life: number; readonly settings: ModelIndex }>
  /** Where a name leads that no index has. */
  readonly renamed: Map<string, string>
}

/** One mutation: on which life of which user and index, and for a push the index it came from. */
interface Happened {
  readonly serial: number
  readonly user: User
  readonly userLife: number
  readonly index?: string
  readonly indexLife?: number
}

/** Who may see what, as plainly as can be: from the present state, and what happened to whom. */
class Model {
  readonly users = new Map<User, ModelUser>()
  readonly happened: Happened[] = []
  #lives = 0

  newLife(): number {
    return (this.#lives += 1)
  }

  mayAsk(who: string, { user, userLife, index, indexLife }: Happened): boolean {
    if (who === 'root') return true
    const owner = this.users.get(user)
    const isOwner = who === user && owner?.life === userLife
    if (index === undefined) return isOwner
    let name = index
    while (owner?.indexes.has(name) === false && owner.renamed.has(name)) name = owner.renamed.get(name)!
    const found = owner?.indexes.get(name)
    if (found === undefined || found.life !== indexLife) return isOwner
    const { readers, uploaders } = found.settings
    const isAmong = (list: readonly string[]): boolean => list.includes(':ANONYMOUS:') || (who !== '' && (list.includes(who) || list.includes(':AUTHENTICATED:')))
    return isOwner || readers === undefined || isAmong(readers) || isAmong(uploaders)
  }

  serialsFor(who: string): number[] {
    return this.happened.filter((one) => this.mayAsk(who, one)).map(({ serial }) => serial)
  }
}

test(
  'the feed shows to everybody what a naive model allows, and nothing else',
  async () => {
    const seed = Date.now() % 1e9
    try {
      const random = new Random(seed)
      let time = Date.UTC(2026, 0, 1)
      await using server = await startServer({ now: () => (time += 1000) })
      const root = await server.root()
      const model = new Model()
      const logins = new Map<User, TestUser>()
      for (let step = 0; step < STEPS; step += 1) {
        await change(server, root, logins, model, random)
        if (step % 10 === 9) await compare(server, root, logins, model, random)
      }
      expect(model.happened.length).toBeGreaterThan(STEPS / 3)
    } catch (error) {
      throw new Error(`with seed ${seed}`, { cause: error })
    }
  },
  120_000,
)

/** Each caller pages through the whole feed, in pages of a random size, filtered or not. */
async function compare(server: TestServer, root: TestUser, logins: Map<User, TestUser>, model: Model, random: Random): Promise<void> {
  const callers: [string, { fetch: TestServer['fetch'] }][] = [['', server], ['root', root], ...logins]
  for (const [who, from] of callers) {
    const user = random.pick(USERS)
    const index = random.pick(INDEXES)
    const wanted = model.happened.filter((one) => model.mayAsk(who, one))
    const filters: [string, (one: Happened) => boolean][] = [
      ['', () => true],
      [`&user=${user}`, (one) => one.user === user],
      [`&index=${user}/${index}`, (one) => one.user === user && one.index === index],
    ]
    for (const [filter, isMeant] of filters) {
      const found = await readAll(from, 1 + random.below(20), filter)
      expect([who, filter, found]).toEqual([who, filter, wanted.filter(isMeant).map(({ serial }) => serial)])
    }
  }
}

async function readAll(from: { fetch: TestServer['fetch'] }, limit: number, filter: string): Promise<number[]> {
  const found: number[] = []
  for (let [since, more] = [0, true]; more; ) {
    const reply = await from.fetch(`/+changes?since=${since}&limit=${limit}${filter}`, { headers: { Accept: 'application/json' } })
    const { result } = (await reply.json()) as { result: ChangesJson }
    found.push(...result.changes.map(({ serial }) => serial))
    since = result.next
    more = result.more
  }
  return found
}

/** One random change, by root where the owner need not be there. */
async function change(server: TestServer, root: TestUser, logins: Map<User, TestUser>, model: Model, random: Random): Promise<void> {
  const name = random.pick(USERS)
  const user = model.users.get(name)
  if (user === undefined) {
    logins.set(name, await server.signUp(name))
    const life = model.newLife()
    model.users.set(name, { life, indexes: new Map(), renamed: new Map() })
    model.happened.push({ serial: server.head(), user: name, userLife: life })
    return
  }
  const note = (rest: Pick<Happened, 'index' | 'indexLife'> = {}): void => {
    model.happened.push({ serial: server.head(), user: name, userLife: user.life, ...rest })
  }
  const index = random.pick(INDEXES)
  const found = user.indexes.get(index)
  const choice = random.below(12)
  if (choice === 0) {
    await expectDone(root.delete(`/${name}`))
    note()
    model.users.delete(name)
    logins.delete(name)
  } else if (choice === 1) {
    await expectDone(root.patch(`/${name}`, { title: String(server.head()) }))
    note()
  } else if (found === undefined) {
    const settings = randomSettings(random)
    await expectDone(root.put(`/${name}/${index}`, rawOf(settings)))
    const life = model.newLife()
    user.indexes.set(index, { life, settings })
    user.renamed.delete(index)
    note({ index, indexLife: life })
  } else if (choice === 2) {
    const to = INDEXES.find((other) => !user.indexes.has(other))
    if (to === undefined) return
    await expectDone(root.patch(`/${name}/${index}`, { rename: to }))
    user.indexes.delete(index)
    user.indexes.set(to, found)
    user.renamed.set(index, to)
    user.renamed.delete(to)
    note({ index, indexLife: found.life })
  } else if (choice <= 4) {
    await expectDone(root.delete(`/${name}/${index}`))
    user.indexes.delete(index)
    note({ index, indexLife: found.life })
  } else if (choice <= 8) {
    const settings = randomSettings(random)
    const before = server.head()
    await expectDone(root.patch(`/${name}/${index}`, rawOf(settings)))
    Object.assign(found.settings, settings)
    if (server.head() > before) note({ index, indexLife: found.life })
  } else {
    const form = new FormData()
    for (const [field, value] of Object.entries({ ':action': 'submit', name: 'demo', version: `1.${server.head()}` })) form.set(field, value)
    await expectDone(root.fetch(`/${name}/${index}/`, { method: 'POST', body: form }))
    note({ index, indexLife: found.life })
  }
}

function randomSettings(random: Random): ModelIndex {
  const among = (): string[] => [...USERS, ':AUTHENTICATED:', ':ANONYMOUS:'].filter(() => random.below(5) === 0)
  return { readers: random.below(4) === 0 ? [':ANONYMOUS:'] : among(), uploaders: among() }
}

function rawOf({ readers, uploaders }: ModelIndex): object {
  return { acl_read: readers, acl_upload: uploaders }
}

async function expectDone(reply: Promise<Response>): Promise<void> {
  const found = await reply
  if (!found.ok) throw new Error(`${found.url}: ${found.status} ${await found.text()}`)
}
