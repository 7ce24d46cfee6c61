import { isMutationKind } from '#log-format/mutation.js'
import { readEntry } from '#log-format/codec.js'
import { toSerial } from '#log-format/serial.js'
import type { Operation } from '#server/http/api-description/description.js'
import { OPERATIONS } from '#server/http/api-description/all.js'
import { allRows } from '#test/storage/temp-storage.js'
import { type ApiWorld, makeWorld, requestOf } from '#test/support/api-world.js'
import { Random } from '#test/support/random.js'
import { caughtUp, startReplica, until } from '#test/support/replica.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

/** How many serials of a history are looked at, while they are the head and later as past ones. */
const SERIALS = Number(process.env['HISTORY_SERIALS'] ?? 4)

const CHANGING = OPERATIONS.filter(({ changes, id }) => changes && id !== 'pushElsewhere')
/** What tells of the node rather than of what is stored, or never ends. */
const OF_THE_NODE: ReadonlySet<string> = new Set([
  'showStatus', 'showHealth', 'showReadiness', 'showMetrics', 'followLog', 'showEpoch', 'readVault', 'readSnapshot', 'downloadBlob',
])
const READING = OPERATIONS.filter(({ changes, method, id }) => !changes && method === 'GET' && !OF_THE_NODE.has(id))
const ACCEPTED = ['application/json', 'application/vnd.pypi.simple.v1+json', 'text/html']

/** Everything that can be done, in any order, in a world that is made anew each time. `look` is called now and then. */
async function live(primary: TestServer, random: Random, look: (world: ApiWorld, root: TestUser) => Promise<void>): Promise<void> {
  const root = await primary.root()
  const operations = [...CHANGING]
  let world = await makeWorld(primary, root)
  while (operations.length > 0) {
    const [operation] = operations.splice(random.below(operations.length), 1)
    if (operation === undefined) break
    if (random.below(4) > 0) world = await makeWorld(primary, root)
    if (random.below(CHANGING.length) < SERIALS) await look(world, root)
    const { path, init } = requestOf(world, operation)
    for (const user of [world.alice, root]) await (await user.fetch(path, init)).arrayBuffer()
  }
}

async function kindsOf({ running: { storage } }: TestServer): Promise<ReadonlySet<string>> {
  const kinds = new Set<string>()
  for await (const entries of storage.entries.read(toSerial(0))) for (const { bytes } of entries) kinds.add(readEntry(bytes).mutation.kind)
  return kinds
}

async function loginState(server: TestServer, auth: string): Promise<string> {
  const { result } = (await (await server.fetch('/+api', { headers: { Accept: 'application/json', 'X-Devpi-Auth': auth } })).json()) as { result: { authstatus: [string] } }
  return result.authstatus[0]
}

interface Question {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

/** What both answer, but for what names the node and the time. */
async function expectSameAnswers(primary: TestServer, replica: TestServer, questions: readonly Question[]): Promise<number[]> {
  const statuses: number[] = []
  for (const { path, headers: asked } of questions) {
    const [wanted, found] = await Promise.all([primary, replica].map(async (server) => {
      const reply = await server.fetch(path, { headers: asked })
      const named = [...reply.headers].filter(([name]) => name !== 'x-devpi-uuid' && name !== 'date')
      const headers = Object.fromEntries(named.map(([name, value]) => [name, value.replaceAll(server.url, '')]))
      return { path, asked, status: reply.status, headers, body: (await reply.text()).replaceAll(server.url, '') }
    }))
    expect(found).toEqual(wanted)
    statuses.push(wanted!.status)
  }
  return statuses
}

/** Every route that reads, asked by nobody, by whom it belongs to and by the superuser; as-of views of some serial before now. */
function questionsOf(world: ApiWorld, root: TestUser, serial: number): Question[] {
  const auths = [{}, { 'X-Devpi-Auth': world.alice.auth }, { 'X-Devpi-Auth': root.auth }]
  const placed = { ...world, places: { ...world.places, serial: String(serial) } }
  const accepted = ({ path }: Operation): readonly string[] => (/simple|doc|\+f/.test(path) ? ACCEPTED : ACCEPTED.slice(0, 1))
  return READING.flatMap((operation) => accepted(operation).flatMap((Accept) =>
    auths.map((auth) => ({ path: requestOf(placed, operation).path, headers: { Accept, ...auth } }))))
}

test('a replica has the entries and rows of its primary after any history, and answers alike at every serial', async () => {
  const seed = Date.now() % 1e9
  const random = new Random(seed)
  try {
    await using primary = await startServer()
    await using early = await startReplica(primary)
    const seen = new Map<number, number>()
    const look = async (world: ApiWorld, root: TestUser): Promise<void> => {
      await caughtUp(early, primary)
      await until(() => early.running.fileReplication!.fetch.status.queued === 0)
      for (const { auth } of [world.alice, root]) await until(async () => (await loginState(early, auth)) === (await loginState(primary, auth))) // verifiers come on a way of their own
      const statuses = await expectSameAnswers(primary, early, questionsOf(world, root, random.below(primary.head() + 1)))
      for (const status of statuses) seen.set(status, (seen.get(status) ?? 0) + 1)
    }
    for (let looks = 0; looks < SERIALS; ) await live(primary, random, async (...world) => { if ((looks += 1) <= SERIALS) await look(...world) })
    expect(seen.get(200)).toBeGreaterThan(SERIALS * READING.length)
    await using late = await startReplica(primary)
    await using begun = await startReplica(primary, { config: { fromSnapshot: true } })
    await Promise.all([early, late, begun].map((replica) => caughtUp(replica, primary)))
    const kinds = await kindsOf(primary)
    expect([...kinds].filter((kind) => !isMutationKind(kind))).toEqual([])
    expect(kinds.size).toBeGreaterThan(20)

    const serials = Array.from({ length: 2 * SERIALS }, () => random.below(primary.head() + 1))
    const past = serials.flatMap((serial) => [`/alice/dev/+at/${serial}/+simple/`, `/alice/dev/+at/${serial}/+simple/hello-devpi/`])
    const questions = [...past, '/alice/none', '/mallory/dev'].flatMap((path) => ACCEPTED.map((Accept) => ({ path, headers: { Accept } })))
    for (const replica of [early, late, begun]) await expectSameAnswers(primary, replica, questions)

    await Promise.all([primary, early, late, begun].map((server) => server.stop()))
    const wanted = await allRows(primary.serverDir, 'ekop')
    for (const replica of [early, late, begun]) expect(await allRows(replica.serverDir, 'ekop')).toEqual(wanted)
  } catch (error) {
    throw new Error(`with seed ${seed}`, { cause: error })
  }
}, 60_000 + SERIALS * 5000)
