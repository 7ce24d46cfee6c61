import type { ChangeJson, ChangesJson } from '#log-format/api/changes.js'
import { keys } from '#log-format/keys.js'
import type { ForeignMutation, Mutation } from '#log-format/mutation.js'
import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

type Fetch = (path: string, init?: RequestInit) => Promise<Response>

/** What one request to the feed shows. */
async function page(from: { readonly fetch: Fetch }, query = ''): Promise<ChangesJson> {
  const reply = await from.fetch(`/+changes${query}`, { headers: { Accept: 'application/json' } })
  const { type, result } = (await reply.json()) as { type: string; result: ChangesJson }
  expect([reply.status, type]).toEqual([200, 'changes'])
  return result
}

/** Serial and kind of all that somebody may see. */
async function seenBy(from: { readonly fetch: Fetch }, query = '?limit=1000'): Promise<string[]> {
  const { changes, more } = await page(from, query)
  expect(more).toBe(false)
  return changes.map(({ serial, mutation }) => `${serial} ${mutation.kind}`)
}

const RESTRICTED = { acl_read: ['alice', 'bob'] }
const NAMES = { user: 'alice', index: 'dev', project: 'hello-devpi' }

/** Serials 0 to 9, each another kind of event: what is open, what is restricted, and another user with a project of the same name. */
async function populated(): Promise<{ server: TestServer; alice: TestUser; bob: TestUser; carol: TestUser; root: TestUser }> {
  const server = await startServer({ now: clock() })
  const alice = await server.signUp('alice', { dev: {}, inner: RESTRICTED }) // 1, 2, 3
  const bob = await server.signUp('bob', { dev: {} }) // 4, 5
  const carol = await server.signUp('carol') // 6
  await alice.upload('dev', wheel('hello_devpi', '1.0')) // 7
  await alice.upload('inner', wheel('other', '1.0')) // 8
  await bob.upload('dev', wheel('hello_devpi', '2.0')) // 9
  return { server, alice, bob, carol, root: await server.root() }
}

/** A second passes whenever it is looked at: entries never share a time. */
function clock(): () => number {
  let time = Date.UTC(2026, 0, 1)
  return () => (time += 1000)
}

test('a change says who did what, when', async () => {
  const { server, alice } = await populated()
  await using _ = server
  const { changes, next, more } = await page(server, '?index=alice/dev')
  expect({ next, more }).toEqual({ next: 9, more: false })
  expect(changes).toEqual<ChangeJson[]>([
    { serial: 2, time: expect.stringMatching(/^2026-01-01T00:\d\d:\d\d\.000Z$/), actor: 'alice', mutation: { kind: 'index-created', user: 'alice', index: 'dev', settings: expect.objectContaining({ type: 'stage' }) } },
    {
      serial: 7,
      time: expect.any(String),
      actor: 'alice',
      mutation: { kind: 'file-uploaded', ...NAMES, version: '1.0', file: 'hello_devpi-1.0-py3-none-any.whl', sha256: expect.any(String), size: expect.any(Number) },
    },
  ])
  expect(changes.map(({ time }) => Date.parse(time))).toEqual([...changes.map(({ time }) => Date.parse(time))].sort((a, b) => a - b))
  const reply = await alice.get('/+changes')
  expect([reply.headers.get('x-devpi-serial'), reply.headers.get('cache-control'), reply.headers.get('vary')]).toEqual(['9', 'no-store', 'Accept'])
})

test('everybody sees what they may read now, and gaps', async () => {
  const { server, alice, bob, carol, root } = await populated()
  await using _ = server
  expect(await seenBy(server)).toEqual(['2 index-created', '5 index-created', '7 file-uploaded', '9 file-uploaded'])
  expect(await seenBy(alice)).toEqual(['1 user-created', '2 index-created', '3 index-created', '5 index-created', '7 file-uploaded', '8 file-uploaded', '9 file-uploaded'])
  expect(await seenBy(bob)).toEqual(['2 index-created', '3 index-created', '4 user-created', '5 index-created', '7 file-uploaded', '8 file-uploaded', '9 file-uploaded'])
  expect(await seenBy(carol)).toEqual(['2 index-created', '5 index-created', '6 user-created', '7 file-uploaded', '9 file-uploaded'])
  expect(await seenBy(root)).toHaveLength(10)

  await alice.patch('/alice/inner', ['acl_read-=bob']) // 10
  await alice.patch('/alice/dev', ['acl_read=alice,carol']) // 11
  expect(await seenBy(bob)).toEqual(['4 user-created', '5 index-created', '9 file-uploaded'])
  expect(await seenBy(carol)).toEqual(['2 index-created', '5 index-created', '6 user-created', '7 file-uploaded', '9 file-uploaded', '11 index-modified'])
  expect(await seenBy(server)).toEqual(['5 index-created', '9 file-uploaded'])
})

test.each<[string, number[]]>([
  ['?user=alice', [1, 2, 3, 7, 8]],
  ['?user=alice&index=dev', [2, 7]],
  ['?index=alice/dev&user=alice', [2, 7]],
  ['?index=alice%2Fdev', [2, 7]],
  ['?project=hello-devpi', [7, 9]],
  ['?project=Hello.Devpi', [7, 9]],
  ['?project=hello-devpi&user=bob', [9]],
  ['?project=hello-devpi&index=alice/dev', [7]],
  ['?project=hello-devpi&index=alice/inner', []],
  ['?user=nobody', []],
  ['?index=alice/de', []],
  ['?since=7', [8, 9]],
  ['?since=-1&limit=3', [0, 1, 2]],
  ['?user=alice&since=2&limit=2', [3, 7]],
  ['?since=9', []],
  ['?since=1000', []],
  ['?user=&index=&project=&since=&limit=', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
])('to root, %s shows %j', async (query, serials) => {
  const { changes } = await page(shared.root, query)
  expect(changes.map(({ serial }) => serial)).toEqual(serials)
})

test.each([
  '?since=x', '?since=-2', '?since=1.5', '?since=1&since=2', '?limit=0', '?limit=1001', '?limit=x', '?limit=-1', '?index=dev',
  '?index=a/b/c', '?index=alice/dev&user=bob', '?index=/dev', '?index=alice/', '?user=a/b', '?user=a%00b', '?project=a/b',
])('refused: %s', async (query) => {
  const reply = await shared.root.get(`/+changes${query}`)
  expect(reply.status).toBe(400)
})

test('a page is not acceptable, other methods are not there', async () => {
  expect((await shared.server.fetch('/+changes', { headers: { Accept: 'text/html' } })).status).toBe(404)
  const reply = await shared.server.fetch('/+changes', { method: 'POST' })
  expect([reply.status, reply.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
})

test('pages of any size make the same whole', async () => {
  for (const from of [shared.root, shared.carol, shared.server]) {
    for (const filter of ['', '&user=alice', '&project=hello-devpi']) {
      const whole = (await page(from, `?limit=1000${filter}`)).changes
      for (let limit = 1; limit <= 11; limit += 1) {
        const found: ChangeJson[] = []
        for (let [since, more] = [-1, true]; more; ) {
          const one = await page(from, `?since=${since}&limit=${limit}${filter}`)
          expect(one.changes.length).toBeLessThanOrEqual(limit)
          found.push(...one.changes)
          since = one.next
          more = one.more
        }
        expect(found).toEqual(whole)
      }
    }
  }
})

let shared: Awaited<ReturnType<typeof populated>>
beforeAll(async () => {
  shared = await populated()
})
afterAll(() => shared.server[Symbol.asyncDispose]())

test('what is gone is for its owner and root, and a new index or user of the name does not open it again', async () => {
  const { server, alice, bob, root } = await populated()
  await using _ = server
  await alice.delete('/alice/dev') // 10
  expect(await seenBy(server, '?index=alice/dev')).toEqual([])
  expect(await seenBy(bob, '?index=alice/dev')).toEqual([])
  const past = ['2 index-created', '7 file-uploaded', '10 index-deleted']
  expect(await seenBy(alice, '?index=alice/dev')).toEqual(past)
  expect(await seenBy(root, '?index=alice/dev')).toEqual(past)

  await alice.put('/alice/dev', {}) // 11
  expect(await seenBy(bob, '?index=alice/dev')).toEqual(['11 index-created'])
  expect(await seenBy(alice, '?index=alice/dev')).toEqual([...past, '11 index-created'])

  await root.delete('/alice') // 12
  expect(await seenBy(server, '?user=alice')).toEqual([])
  const successor = await server.signUp('alice', { dev: {} }) // 13, 14
  expect(await seenBy(successor, '?user=alice')).toEqual(['13 user-created', '14 index-created'])
  expect(await seenBy(bob, '?user=alice')).toEqual(['14 index-created'])
  expect(await seenBy(root, '?user=alice')).toHaveLength(10)
})

test('a push does not name an index that the reader of its target may not see', async () => {
  const { server, alice, bob } = await populated()
  await using _ = server
  await bob.patch('/bob/dev', ['acl_upload+=alice'])
  const pushed = await alice.post('/alice/inner', { name: 'other', version: '1.0', targetindex: 'bob/dev' })
  expect(pushed.status).toBe(200)
  const sourceFor = async (from: { readonly fetch: Fetch }): Promise<unknown> => {
    const { changes } = await page(from, '?since=10&index=bob/dev')
    expect(changes.map(({ mutation }) => mutation.kind)).toEqual(['release-pushed'])
    return changes[0]?.mutation['source']
  }
  expect([await sourceFor(alice), await sourceFor(bob), await sourceFor(server)]).toEqual(['alice/inner', 'alice/inner', undefined])
})

test('an index takes its past along to a new name, and leaves alone what had that name before', async () => {
  const { server, alice, bob } = await populated()
  await using _ = server
  await alice.delete('/alice/inner') // 10: what was on it is for alice
  await bob.patch('/bob/dev', ['bases+=alice/dev', 'acl_read=bob']) // 11
  expect((await alice.patch('/alice/dev', { rename: 'inner' })).status).toBe(200) // 12
  const past = ['2 index-created', '7 file-uploaded', '12 index-renamed']
  expect(await seenBy(server)).toEqual(past)
  const renamed = async (from: { readonly fetch: Fetch }): Promise<unknown> => (await page(from, '?since=11')).changes[0]?.mutation
  expect(await renamed(server)).toEqual({ kind: 'index-renamed', user: 'alice', index: 'dev', to: 'inner', followed: [] })
  expect(await renamed(bob)).toEqual({ kind: 'index-renamed', user: 'alice', index: 'dev', to: 'inner', followed: ['bob/dev'] })

  await alice.patch('/alice/inner', ['acl_read=alice']) // 13
  expect(await seenBy(server)).toEqual([])
  await alice.put('/alice/dev', {}) // 14: another one, which opens nothing
  expect(await seenBy(server)).toEqual(['14 index-created'])
  expect(await seenBy(alice, '?since=1&user=alice&index=dev')).toEqual([...past, '14 index-created'])
})

test('a clone does not name a source that the reader may not see, and an undo opens what it brings back', async () => {
  const { server, alice, bob } = await populated()
  await using _ = server
  expect((await alice.put('/alice/copy', { clone: 'alice/inner@7', acl_read: [':ANONYMOUS:'] })).status).toBe(200) // 10
  const cloned = async (from: { readonly fetch: Fetch }): Promise<unknown> => (await page(from, '?index=alice/copy')).changes[0]?.mutation
  expect(await cloned(bob)).toEqual({ kind: 'index-cloned', user: 'alice', index: 'copy', source: 'alice/inner', serial: 7 })
  expect(await cloned(server)).toEqual({ kind: 'index-cloned', user: 'alice', index: 'copy', serial: 7 })

  await alice.delete('/alice/dev') // 11
  expect(await seenBy(server, '?index=alice/dev')).toEqual([])
  expect((await alice.post('/+undo', { serial: 11 })).status).toBe(200) // 12
  expect(await seenBy(server, '?index=alice/dev')).toEqual(['2 index-created', '7 file-uploaded', '11 index-deleted', '12 removal-undone'])
})

test('no secret is in it, and of kinds that nobody here knows the name alone', async () => {
  const { server, alice, root } = await populated()
  await using _ = server
  const mirror = { type: 'mirror', mirror_url: 'https://someone:upstream%20secret@upstream.example/simple/' }
  expect((await alice.put('/alice/up', mirror)).status).toBe(200) // 10
  expect((await alice.patch('/alice', { password: 'new secret' })).status).toBe(200) // 11, which ends her token
  const { storage } = server.running
  const newer = { kind: 'something-newer', user: 'alice', index: 'dev', note: 'newer secret' }
  const known: ForeignMutation = { kind: 'project-removed', ...NAMES, forced: true, note: 'newer secret' }
  for (const mutation of [newer, known]) {
    await storage.transact({ time: 0, actor: 'alice', via: 'token', request: 'test' }, async (tx) => {
      tx.secrets.set('user/alice/test', { secret: mutation.kind })
      tx.record(mutation as ForeignMutation as Mutation)
    })
  }
  const everything = await page(root, '?limit=1000')
  expect(JSON.stringify(everything)).not.toMatch(/secret|argon|someone/)
  expect(everything.changes.slice(-2).map(({ mutation }) => mutation)).toEqual([{ kind: 'something-newer' }, { kind: 'project-removed', ...NAMES, forced: true }])
  expect(await seenBy(server, '?since=11')).toEqual(['13 project-removed'])
  expect(await seenBy(root, '?since=11&index=alice/dev')).toHaveLength(2)
})

test('a page ends when it has looked at enough, shown or not', async () => {
  await using server = await startServer()
  const alice = await server.signUp('alice', { inner: { acl_read: ['alice'] }, open: {} })
  const { storage } = server.running
  const fill = Array.from({ length: 2500 }, (_, at) =>
    storage.transact({ time: 0, actor: 'alice', via: 'token', request: 'test' }, async (tx) => {
      const ref = { user: 'alice', index: 'inner', project: `p${at}` }
      tx.set(keys.project(ref), { name: ref.project, created: 1 })
      tx.record({ kind: 'version-registered', ...ref, version: '1' })
    }),
  )
  await Promise.all(fill)
  await alice.patch('/alice/open', { title: 'the end' })
  for (const filter of ['', '&user=alice']) {
    const first = await page(server, `?since=3${filter}`)
    expect(first).toEqual({ changes: [], next: 2003, more: true })
    const second = await page(server, `?since=${first.next}${filter}`)
    expect([second.changes.map(({ serial }) => serial), second.more]).toEqual([[2504], false])
  }
  // About something rare, one page is enough, however long the log is.
  const rare = await page(server, '?since=3&index=alice/open')
  expect([rare.changes.map(({ serial }) => serial), rare.next, rare.more]).toEqual([[2504], 2504, false])
  const all = await page(alice, '?limit=1000')
  expect([all.changes.length, all.more]).toEqual([1000, true])
})
