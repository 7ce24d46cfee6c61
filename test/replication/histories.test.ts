import { isMutationKind } from '#log-format/mutation.js'
import { readEntry } from '#log-format/codec.js'
import { toSerial } from '#log-format/serial.js'
import { OPERATIONS } from '#server/http/api-description/all.js'
import { allRows } from '#test/storage/temp-storage.js'
import { makeWorld, requestOf } from '#test/support/api-world.js'
import { Random } from '#test/support/random.js'
import { caughtUp, startReplica } from '#test/support/replica.js'
import { startServer, type TestServer } from '#test/support/server.js'

const CHANGING = OPERATIONS.filter(({ changes, id }) => changes && id !== 'pushElsewhere')

/** Everything that can be done, in any order, in a world that is made anew each time. */
async function live(primary: TestServer, random: Random): Promise<void> {
  const root = await primary.root()
  const operations = [...CHANGING]
  let world = await makeWorld(primary, root)
  while (operations.length > 0) {
    const [operation] = operations.splice(random.below(operations.length), 1)
    if (operation === undefined) break
    if (random.below(4) > 0) world = await makeWorld(primary, root)
    const { path, init } = requestOf(world, operation)
    for (const user of [world.alice, root]) await (await user.fetch(path, init)).arrayBuffer()
  }
}

async function kindsOf({ running: { storage } }: TestServer): Promise<ReadonlySet<string>> {
  const kinds = new Set<string>()
  for await (const entries of storage.entries.read(toSerial(0))) for (const { bytes } of entries) kinds.add(readEntry(bytes).mutation.kind)
  return kinds
}

/** What both answer to everybody, but for what names the node and the time. */
async function expectSameAnswers(primary: TestServer, replica: TestServer, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    for (const Accept of ['application/json', 'application/vnd.pypi.simple.v1+json', 'text/html']) {
      const [wanted, found] = await Promise.all([primary, replica].map(async (server) => {
        const reply = await server.fetch(path, { headers: { Accept } })
        const named = [...reply.headers].filter(([name]) => name !== 'x-devpi-uuid' && name !== 'date')
        const headers = Object.fromEntries(named.map(([name, value]) => [name, value.replaceAll(server.url, '')]))
        return { path, Accept, status: reply.status, headers, body: (await reply.text()).replaceAll(server.url, '') }
      }))
      expect(found).toEqual(wanted)
    }
  }
}

test('a replica has the entries and rows of its primary after any history, and answers alike at every serial', async () => {
  const seed = Date.now() % 1e9
  const random = new Random(seed)
  try {
    const primary = await startServer()
    const early = await startReplica(primary)
    await live(primary, random)
    const late = await startReplica(primary)
    await Promise.all([caughtUp(early, primary), caughtUp(late, primary)])
    const kinds = await kindsOf(primary)
    expect([...kinds].filter((kind) => !isMutationKind(kind))).toEqual([])
    expect(kinds.size).toBeGreaterThan(20)

    const serials = Array.from({ length: 15 }, () => random.below(primary.head() + 1))
    const past = serials.flatMap((serial) => [`/alice/dev/+at/${serial}/+simple/`, `/alice/dev/+at/${serial}/+simple/hello-devpi/`])
    const now = ['/', '/alice', '/alice/dev', '/alice/dev/+simple/', '/alice/dev/+simple/hello-devpi/', '/alice/dev/hello-devpi', '/alice/dev/hello-devpi/1.0', '/+changes?limit=1000', '/alice/none', '/mallory/dev']
    await expectSameAnswers(primary, early, [...past, ...now])

    await Promise.all([primary, early, late].map((server) => server.stop()))
    const wanted = await allRows(primary.serverDir, 'ekop')
    for (const replica of [early, late]) expect(await allRows(replica.serverDir, 'ekop')).toEqual(wanted)
    await Promise.all([primary, early, late].map((server) => server[Symbol.asyncDispose]()))
  } catch (error) {
    throw new Error(`with seed ${seed}`, { cause: error })
  }
}, 60_000)
