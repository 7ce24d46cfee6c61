import { createHash } from 'node:crypto'
import { decodeEntry } from '#log-format/codec.js'
import type { Entry } from '#log-format/entry.js'
import { nextSerial, toSerial } from '#log-format/serial.js'
import { sdist, wheel, type ReleaseFile } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

const JSON_PAGE = { Accept: 'application/vnd.pypi.simple.v1+json' }
const WHEEL = wheel('demo', '1.0')

let server: TestServer
let alice: TestUser
let bob: TestUser
let now: number
beforeEach(async () => {
  now = 1_700_000_000_000
  server = await startServer({ now: () => now })
  alice = await server.signUp('alice', { base: {}, dev: { bases: ['alice/base'], title: 'work', acl_upload: ['alice', 'carol'] } })
  bob = await server.signUp('bob')
  await alice.upload('dev', WHEEL)
  await alice.upload('dev', sdist('demo', '1.0', { padding: 1 }))
  await alice.upload('dev', sdist('demo', '1.0'))
  await alice.post(pathOf('alice/dev', WHEEL), { testenvs: {} })
  await alice.patch('/alice/dev/demo/1.0', { yanked: 'slow' })
  now += 60_000
})
afterEach(() => server[Symbol.asyncDispose]())

function sha256Of({ bytes }: ReleaseFile): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function pathOf(index: string, file: ReleaseFile): string {
  return `/${index}/+f/${sha256Of(file).slice(0, 3)}/${sha256Of(file).slice(3, 16)}/${file.filename}`
}

async function jsonOf(reply: Promise<Response>): Promise<Record<string, unknown>> {
  return (await (await reply).json()) as Record<string, unknown>
}

async function newest(): Promise<Entry> {
  const head = toSerial(server.head())
  for await (const [entry] of server.running.storage.entries.read(head, nextSerial(head))) if (entry) return decodeEntry(entry.bytes)
  throw new Error('an empty log')
}

async function filesOf(index: string): Promise<Record<string, unknown>[]> {
  const page = await jsonOf(alice.get(`/${index}/+simple/demo/`, JSON_PAGE))
  return page['files'] as Record<string, unknown>[]
}

test('a clone has the settings and contents of its source, entered now, and no file is stored again', async () => {
  const stored = await blobCount()
  const before = server.head()
  const reply = await alice.put('/alice/copy', { clone: 'alice/dev', title: 'play', volatile: false })
  expect([reply.status, await reply.json()]).toEqual([
    200,
    {
      type: 'indexconfig',
      result: expect.objectContaining({ type: 'stage', title: 'play', volatile: false, bases: ['alice/base'], acl_upload: ['alice', 'carol'] }),
      message: 'cloned from alice/dev',
    },
  ])
  expect(server.head()).toBe(before + 1)
  expect((await newest()).mutation).toEqual({ kind: 'index-cloned', user: 'alice', index: 'copy', source: 'alice/dev', serial: before })
  expect(await blobCount()).toBe(stored)

  const without = ({ 'upload-time': _, ...file }: Record<string, unknown>): object => file
  expect((await filesOf('alice/copy')).map(without)).toEqual((await filesOf('alice/dev')).map(without))
  expect((await filesOf('alice/copy')).map((file) => file['upload-time'])).toEqual(Array(2).fill('2023-11-14T22:14:20.000Z'))
  for (const path of [pathOf('alice/copy', WHEEL), `${pathOf('alice/copy', WHEEL)}.metadata`]) expect((await server.fetch(path)).status).toBe(200)

  const { result } = await jsonOf(alice.get('/alice/copy/demo/1.0'))
  const links = (result as { '+links': { rel: string; log: { what: string }[] }[] })['+links']
  expect(links.map(({ rel }) => rel).sort()).toEqual(['releasefile', 'releasefile', 'toxresult'])
  for (const { log } of links) {
    expect(log.map(({ what }) => what)).toEqual(['upload', 'push'])
    expect(log.at(-1)).toMatchObject({ who: 'alice', src: 'alice/dev', dst: 'alice/copy' })
  }
})

test('source and clone go their own ways', async () => {
  await alice.put('/alice/copy', { clone: 'alice/dev' })
  expect((await alice.delete('/alice/dev')).status).toBe(201)
  expect((await server.fetch(pathOf('alice/copy', WHEEL))).status).toBe(200)
  expect((await alice.upload('copy', wheel('demo', '2.0'))).status).toBe(200)
  expect((await alice.upload('copy', wheel('demo', '1.0.0', { tag: 'py2-none-any' }))).status).toBe(200)
  expect((await jsonOf(alice.get('/alice/copy/+simple/demo/', JSON_PAGE)))['versions']).toEqual(['1.0', '2.0']) // 1.0.0 is 1.0 here, too
})

test('a past source gives what it had then, with the settings it had', async () => {
  const { serial } = server.running.storage.head
  await alice.patch('/alice/dev', { title: 'late' })
  await alice.delete('/alice/dev/demo')
  await alice.upload('dev', wheel('other', '1.0'))
  const reply = await jsonOf(alice.put('/alice/then', { clone: `alice/dev@${serial}` }))
  expect(reply['result']).toMatchObject({ title: 'work' })
  expect((await newest()).mutation).toMatchObject({ source: 'alice/dev', serial })
  const projects = (await jsonOf(alice.get('/alice/then/+simple/', JSON_PAGE)))['projects']
  expect(projects).toEqual([{ name: 'demo' }])
  expect((await filesOf('alice/then')).length).toBe(2)
  expect((await server.fetch(pathOf('alice/then', WHEEL))).status).toBe(200)

  await alice.delete('/alice/then')
  await server.running.blobs.delete(sha256Of(WHEEL))
  const late = await alice.put('/alice/late', { clone: `alice/dev@${serial}` })
  expect([late.status, (await jsonOf(Promise.resolve(late)))['message']]).toEqual([
    410,
    `alice/dev had files at serial ${serial} that were removed since and are no longer kept`,
  ])
})

test('others may clone what they may read now, and own what they cloned', async () => {
  await alice.patch('/alice/base', { acl_upload: ['alice'] })
  expect((await jsonOf(bob.put('/bob/copy', { clone: 'alice/base' })))['result']).toMatchObject({ acl_upload: ['bob'] })
  expect((await jsonOf(bob.put('/bob/dev', { clone: 'alice/dev' })))['result']).toMatchObject({ acl_upload: ['alice', 'carol'] })

  const { serial } = server.running.storage.head
  await alice.patch('/alice/dev', { acl_read: ['alice'], acl_upload: ['alice'] })
  const head = server.head()
  for (const clone of ['alice/dev', `alice/dev@${serial}`]) {
    expect((await bob.put('/bob/again', { clone })).status).toBe(403)
    expect((await bob.put('/alice/again', { clone })).status).toBe(403)
  }
  expect(server.head()).toBe(head)
})

test('bases that are gone are taken over, others must exist', async () => {
  await alice.delete('/alice/base')
  expect((await jsonOf(alice.put('/alice/copy', { clone: 'alice/dev' })))['result']).toMatchObject({ bases: ['alice/base'] })
  const reply = await alice.put('/alice/copy2', { clone: 'alice/dev', bases: ['alice/nope'] })
  expect([reply.status, (await jsonOf(Promise.resolve(reply)))['message']]).toEqual([400, "base index 'alice/nope' does not exist"])
})

test.each<[string, string, object, number, RegExp]>([
  ['a missing source', 'copy', { clone: 'alice/nope' }, 404, /^The stage alice\/nope could not be found\.$/],
  ['a serial before the source', 'copy', { clone: 'alice/dev@1' }, 404, /^The stage alice\/dev could not be found\.$/],
  ['a serial to come', 'copy', { clone: 'alice/dev@9999' }, 404, /^serial 9999 is not written yet/],
  ['a name in use', 'base', { clone: 'alice/dev' }, 409, /^index 'alice\/base' exists$/],
  ['itself', 'dev', { clone: 'alice/dev' }, 409, /exists/],
  ['a mirror', 'copy', { clone: 'root/pypi' }, 400, /^root\/pypi is a mirror/],
  ['another type', 'copy', { clone: 'alice/dev', type: 'mirror' }, 400, /^a clone is of type stage/],
  ['an unknown setting', 'copy', { clone: 'alice/dev', colour: 'red' }, 400, /colour=red/],
  ['a bad name', 'a:b', { clone: 'alice/dev' }, 400, /aren't allowed/],
  ['no index', 'copy', { clone: 'dev' }, 400, /^clone not in format user\/index or user\/index@serial$/],
  ['a path', 'copy', { clone: '/alice/dev' }, 400, /^clone not in format/],
  ['no text', 'copy', { clone: 5 }, 400, /^clone not in format/],
  ['nothing', 'copy', { clone: null }, 400, /^clone not in format/],
])('%s is refused', async (_, index, settings, status, message) => {
  const head = server.head()
  const reply = await alice.put(`/alice/${index}`, settings)
  expect([reply.status, (await jsonOf(Promise.resolve(reply)))['message']]).toEqual([status, expect.stringMatching(message)])
  expect(server.head()).toBe(head)
})

async function blobCount(): Promise<number> {
  let count = 0
  for await (const _ of server.running.blobs.list()) count += 1
  return count
}
