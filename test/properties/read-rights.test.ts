import { Random } from '#test/support/random.js'
import { EventStream } from '#test/support/event-stream.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { type Asker, ReadModel, USERS, wordsIn } from './read-model.js'
import { faultOf, type Question, Roads } from './read-roads.js'
import { ReadWorld } from './read-world.js'

/** `PROPERTY_ROUNDS=500 PROPERTY_SEED=1 npm test -- read-rights` looks longer, or again where a failure was. */
const ROUNDS = Number(process.env['PROPERTY_ROUNDS'] ?? 14)
const SEED = Number(process.env['PROPERTY_SEED'] ?? Date.now() % 1e9)
const MOST_REDIRECTIONS = 4
/** Requests on their way at the same time. */
const PARALLEL = 8

/** A caller of the model with what he shows. */
interface Caller extends Asker {
  readonly headers: Readonly<Record<string, string>>
}

test(
  'no road gives a byte that a naive model forbids, and each gives what it allows',
  async () => {
    const given = { refused: 0, allowed: 0 }
    try {
      const random = new Random(SEED)
      await using server = await startServer()
      const model = new ReadModel()
      const world = await ReadWorld.create(server, model, random)
      const callers = await callersOf(world)
      for (let round = 0; round < ROUNDS; round += 1) {
        for (let step = 0; step < 2; step += 1) {
          await world.change()
          await world.attempt()
        }
        for (const wanted of [true, false, undefined]) await askAround(server, model, random, pairOf(model, random, callers, wanted), given)
        const last = await world.announce()
        for (const caller of [random.pick(callers), random.pick(callers)]) await askAtLarge(server, model, caller, last)
      }
    } catch (error) {
      throw new Error(`with PROPERTY_SEED=${SEED}`, { cause: error })
    }
    // It would prove nothing if everybody or nobody had got something.
    expect(Math.min(given.refused, given.allowed)).toBeGreaterThan(ROUNDS * 10)
  },
  30_000 + ROUNDS * 2_000,
)

async function callersOf({ users, root }: ReadWorld): Promise<readonly Caller[]> {
  const people = [root, ...users.values()].map((user) => ({ name: user.name, user: user.name, headers: { 'X-Devpi-Auth': user.auth } }))
  const token = async (user: TestUser, actions: string[], indexes: string[]): Promise<Caller> => {
    const reply = await user.post(`/${user.name}/+tokens`, { name: 'reader', actions, indexes })
    const { result } = (await reply.json()) as { result: { token: string } }
    const only = actions.includes('read') ? indexes : []
    return { name: `a token of ${user.name}`, user: user.name, only, headers: { Authorization: `Bearer ${result.token}` } }
  }
  const [alice, bob] = [users.get('alice')!, users.get('bob')!]
  return [
    { name: 'nobody', user: '', headers: {} },
    { name: 'a liar', user: '', headers: { 'X-Devpi-Auth': Buffer.from('root:wrong').toString('base64') } },
    ...people,
    await token(alice, ['read'], ['alice/one', 'bob/one', 'carol/two']),
    await token(bob, ['upload', 'delete'], ['alice/one', 'bob/one', 'bob/two']),
  ]
}

interface Pair {
  readonly caller: Caller
  readonly name: string
}

/** A caller and an index, which he may or may not read if there is such a pair. */
function pairOf(model: ReadModel, random: Random, callers: readonly Caller[], mayRead: boolean | undefined): Pair {
  const all = callers.flatMap((caller) => [...model.indexes.keys()].map((name) => ({ caller, name })))
  const wanted = all.filter(({ caller, name }) => mayRead === undefined || model.mayRead(caller, name) === mayRead)
  return random.pick(wanted.length > 0 ? wanted : all)
}

/** One caller goes all roads to one index. */
async function askAround(server: TestServer, model: ReadModel, random: Random, { caller, name }: Pair, given: { refused: number; allowed: number }): Promise<void> {
  const roads = new Roads({ model, asker: caller, name, random })
  const items = [...new Set([...model.indexes.values()].flatMap((index) => [...index.items.keys()]))]
  const item = random.pick(items)
  roads.addIndex()
  roads.addProject(item.project)
  roads.addItem(item)
  const own = [...model.index(name).items.keys()]
  if (own.length > 0) roads.addItem(random.pick(own))
  roads.addPast(random.pick(model.pasts), item.project)
  const questions = [...roads.questions]
  while (questions.length > 0) {
    const some = questions.splice(0, PARALLEL)
    await Promise.all(some.map((question) => ask(server, caller, name, question)))
  }
  given[model.mayRead(caller, name) ? 'allowed' : 'refused'] += roads.questions.length
  await checkAuthcheck(server, model, caller, name)
}

/** Redirections are followed, and each of them is an answer, too. */
async function ask(server: TestServer, caller: Caller, name: string, question: Question): Promise<void> {
  let { path } = question
  for (let hop = 0; ; hop += 1) {
    const reply = await server.fetch(path, { method: question.method, headers: { ...caller.headers, ...question.headers } })
    const text = `${JSON.stringify([...reply.headers])}${Buffer.from(await reply.arrayBuffer()).toString('latin1')}`
    const location = reply.headers.get('location')
    const isOver = location === null || hop === MOST_REDIRECTIONS
    const fault = faultOf(isOver ? question : { ...question, status: undefined }, { status: reply.status, text })
    if (fault !== undefined) throw new Error(`${caller.name} asks for ${question.what} of ${name}, ${question.method} ${path}: the answer ${fault}: ${text.slice(0, 2000)}`)
    if (isOver) return
    path = new URL(location, server.url + path).href.slice(server.url.length)
  }
}

async function checkAuthcheck(server: TestServer, model: ReadModel, caller: Caller, name: string): Promise<void> {
  for (const below of ['/', '/+simple/', '/+f/abc/def/x.whl', '/lib-a/1.0/+doc/index.html']) {
    const reply = await server.fetch('/+authcheck', { headers: { ...caller.headers, 'X-Original-URI': `/${name}${below}` } })
    expect([caller.name, name, below, reply.ok]).toEqual([caller.name, name, below, model.mayRead(caller, name)])
  }
}

/** Lists of users with their indexes, and what happened, in both forms. */
async function askAtLarge(server: TestServer, model: ReadModel, caller: Caller, last: number): Promise<void> {
  const headers = { ...caller.headers, Accept: 'application/json' }
  const titles = (user: string): string[] => [...model.indexes.values()].filter(({ name }) => name.startsWith(user) && model.mayRead(caller, name)).map(({ title }) => title)
  for (const user of ['', ...USERS]) {
    const text = await (await server.fetch(`/${user}`, { headers })).text()
    expect([caller.name, user, [...wordsIn(text)].sort()]).toEqual([caller.name, user, titles(user).sort()])
  }
  const heard = model.happened.filter(({ index }) => model.mayRead(caller, index)).flatMap(({ words }) => words)
  const expected = [caller.name, [...new Set(heard)].sort()]
  let text = ''
  for (let [since, more] = [0, true]; more; ) {
    const body = await (await server.fetch(`/+changes?since=${since}&limit=100`, { headers })).text()
    text += body
    ;({ next: since, more } = (JSON.parse(body) as { result: { next: number; more: boolean } }).result)
  }
  expect([caller.name, [...wordsIn(text)].sort()]).toEqual(expected)

  await using stream = await EventStream.open((path, init) => server.fetch(path, { ...init, headers: { ...caller.headers, Accept: 'text/event-stream' } }), '/+changes?since=0')
  let streamed = ''
  for (let id = 0; id < last; ) {
    const event = await stream.event()
    if (event === undefined) throw new Error('the stream of changes ended')
    streamed += JSON.stringify(event.data)
    id = event.data.serial
  }
  expect([caller.name, [...wordsIn(streamed)].sort()]).toEqual(expected)
}
