import { OPERATIONS } from '#server/http/api-description/all.js'
import type { Operation } from '#server/http/api-description/description.js'
import { createApp } from '#server/http/app.js'
import { type OpenApiDocument, ReplyCheck } from '#test/support/api-replies.js'
import { type ApiWorld, makeWorld, requestOf } from '#test/support/api-world.js'
import { walkRoutes, withoutSlash } from '#test/support/router-walk.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { startUploadServer } from './upload-server.js'

/** Where everybody may sign up and owners manage what is theirs, and where root alone does. */
let open: TestServer
let restricted: TestServer
let check: ReplyCheck
let roots: { readonly open: TestUser; readonly restricted: TestUser }
beforeAll(async () => {
  open = await startServer()
  restricted = await startServer({ config: { restrictModify: ['root'] } })
  check = new ReplyCheck((await (await open.fetch('/+openapi.json')).json()) as OpenApiDocument)
  roots = { open: await open.root(), restricted: await restricted.root() }
})
afterAll(async () => {
  await open[Symbol.asyncDispose]()
  await restricted[Symbol.asyncDispose]()
})

const CHANGING = OPERATIONS.filter(({ changes }) => changes).map((operation) => [operation.id, operation] as const)
const UNCHANGING = OPERATIONS.filter(({ changes }) => !changes).map((operation) => [operation.id, operation] as const)

/** Does it as nobody, as a stranger, and with a token of the owner that is for reading: none may change anything. */
async function expectRefusals(server: TestServer, world: ApiWorld, operation: Operation): Promise<void> {
  const strangers: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    nobody: {},
    'a wrong password': { Authorization: `Basic ${Buffer.from('alice:wrong').toString('base64')}` },
    'a stranger': { 'X-Devpi-Auth': world.mallory.auth },
    'a token for reading': { Authorization: `Bearer ${world.readingToken}` },
  }
  const answers: Record<string, string> = {}
  for (const [who, headers] of Object.entries(strangers)) {
    const { path, init } = requestOf(world, operation)
    const before = server.head()
    const { status } = await server.fetch(path, { ...init, headers: { ...init.headers, ...headers } })
    answers[who] = `${[401, 403, 404].includes(status) ? 'refused' : status}, ${server.head() - before} entries`
  }
  expect([operation.id, answers]).toEqual([operation.id, Object.fromEntries(Object.keys(strangers).map((who) => [who, 'refused, 0 entries']))])
}

async function expectDone(server: TestServer, user: TestUser, world: ApiWorld, operation: Operation): Promise<void> {
  const { path, init } = requestOf(world, operation)
  const before = server.head()
  const reply = await user.fetch(path, init)
  expect({ id: operation.id, entries: server.head() - before, isDone: reply.ok }).toEqual({ id: operation.id, entries: 1, isDone: true })
  expect(await check.faultsOf(operation.method, operation.path, reply)).toEqual([])
}

test('what changes something is refused to whoever has no right to it', async () => {
  const world = await makeWorld(open, roots.open)
  for (const [id, operation] of CHANGING) if (id !== 'createUser') await expectRefusals(open, world, operation)
})

test('the same where root alone manages', async () => {
  const world = await makeWorld(restricted, roots.restricted)
  for (const [, operation] of CHANGING) await expectRefusals(restricted, world, operation)
  for (const [id, operation] of CHANGING) if (id === 'createUser') await expectDone(restricted, roots.restricted, world, operation)
})

// Without these, what was refused might have been refused because there is nothing at the address.
test.each(CHANGING)('%s is one entry when its owner asks, or root of groups, and replies as described', async (_, operation) => {
  const world = await makeWorld(open, roots.open)
  const isOfRoot = !('noRight' in operation.asks) && operation.asks.includes('group-modify')
  await expectDone(open, isOfRoot ? roots.open : world.alice, world, operation)
})

/** What answers everybody, each with what that caller may see, and is tested for it elsewhere; and what is for this machine. */
const ANSWERS_ALL: readonly string[] = ['listChanges', 'checkAccess', 'showMetrics']

test('what asks for a right to read is refused to whoever has none, at every address, also where a page is cached', async () => {
  const world = await makeWorld(open, roots.open)
  await world.alice.patch('/alice/dev', { acl_read: 'alice' })
  const answers: string[] = []
  const reached = new Set<string>()
  const asking = new Set<string>()
  for (const [id, operation] of UNCHANGING) {
    if ('noRight' in operation.asks || ANSWERS_ALL.includes(id)) continue
    for (const at of [operation.path, ...(operation.alsoAt ?? [])]) {
      for (const Accept of ['application/json', 'application/vnd.pypi.simple.v1+json', 'text/html', '*/*']) {
        const { path, init } = requestOf(world, operation, at)
        const asked = { ...init, headers: { ...init.headers, Accept, 'User-Agent': 'pip/24.0' } }
        asking.add(`${id} at ${at}`)
        const allowed = await roots.open.fetch(path, asked)
        if (allowed.status < 400) reached.add(`${id} at ${at}`)
        await allowed.arrayBuffer()
        for (const fetchFrom of [open.fetch, world.mallory.fetch.bind(world.mallory)]) {
          const reply = await fetchFrom(path, asked)
          const body = await reply.text()
          if (![401, 403, 404].includes(reply.status) || body.includes('+f/')) answers.push(`${id} at ${at}, ${Accept}: ${reply.status}`)
        }
      }
    }
  }
  expect(answers).toEqual([])
  // Nobody listens where the push goes.
  expect([...asking].filter((one) => !reached.has(one))).toEqual(['pushElsewhere at /{user}/{index}/'])
})

test('what is said to change nothing changes nothing, whoever asks', async () => {
  const world = await makeWorld(open, roots.open)
  const before = open.head()
  for (const [id, operation] of UNCHANGING) {
    const { path, init } = requestOf(world, operation)
    for (const fetchFrom of [open.fetch, roots.open.fetch.bind(roots.open)]) await (await fetchFrom(path, init)).arrayBuffer()
    expect([id, open.head()]).toEqual([id, before])
  }
})

test('methods that are not described are refused at every address, also where a page is cached', async () => {
  await using routes = await startUploadServer()
  const world = await makeWorld(open, roots.open)
  const described = new Set(OPERATIONS.flatMap(({ method, path, routedAs = path, alsoAt = [] }) => [routedAs, ...alsoAt].map((one) => `${method} ${withoutSlash(one)}`)))
  const before = open.head()
  const answered: string[] = []
  for (const template of walkRoutes(createApp(routes.deps)).templates) {
    const path = template.replace(/\{(\w+)\}/g, (_, name: string) => world.places[name] ?? name)
    for (const address of [path, `${path}/`]) {
      await (await roots.open.fetch(address)).arrayBuffer() // a page or file that is remembered answers at once from now on
      for (const method of ['PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS']) {
        if (described.has(`${method} ${template}`)) continue
        const { status } = await roots.open.fetch(address, { method, ...(method !== 'OPTIONS' && { body: '{}' }) })
        if (status !== 405 && status !== 404) answered.push(`${method} ${address}: ${status}`)
      }
    }
  }
  // To who changes something, this is version `hello-devpi` of a project that is called simple.
  expect(answered).toEqual(['PATCH /alice/dev/simple/hello-devpi: 400'])
  expect(open.head()).toBe(before)
})
