import { sdist, wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { TestUpstream } from '#test/support/upstream.js'
import { StandIn } from './stand-in.js'

let upstream: TestUpstream
let server: TestServer
let alice: TestUser

beforeAll(async () => {
  upstream = await TestUpstream.start()
  server = await startServer({ config: { privateUpstreams: ['127.0.0.1'], pushHosts: ['127.0.0.1'] } })
  alice = await server.signUp('alice', {
    mirror: { type: 'mirror', mirror_url: upstream.url },
    base: {},
    secret: { acl_read: ['alice'] },
    child: { bases: ['alice/base', 'alice/secret', 'alice/mirror'] },
    prod: {},
  })
  await alice.upload('base', wheel('based', '1.0'))
  await alice.upload('secret', wheel('hushed', '1.0'))
  for (const name of ['mirrored', 'based']) {
    upstream.project(name, ['1.0', '2.0'].map((version) => ({ filename: sdist(name, version).filename, content: sdist(name, version).bytes })))
    await server.fetch(`/alice/mirror/+simple/${name}/`)
  }
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

async function push(body: object, { by = alice }: { readonly by?: TestUser } = {}): Promise<[status: number, message: string]> {
  const reply = await by.post('/alice/child', { version: '1.0', ...body })
  return [reply.status, ((await reply.json()) as { message: string }).message]
}

const CASES: readonly (readonly [string, object, string])[] = [
  ['a base', { name: 'Based', version: '1.0.0' }, '; it inherits them from alice/base: push them from there'],
  ['a mirror', { name: 'mirrored' }, '; it inherits them from alice/mirror: push them from there'],
  ['no index', { name: 'nothing' }, ''],
  ['no index in this version', { name: 'mirrored', version: '9.0' }, ''],
  ['a mirror from which the name is private', { name: 'based', version: '2.0' }, ''],
]
test.each(CASES)('of a release that comes from %s nothing is pushed, and the message names the index that has it', async (_, release, hint) => {
  const [asked, head] = [upstream.asked.length, server.head()]
  await using standIn = new StandIn()
  const posturl = await standIn.start()
  const { name = '', version = '1.0' } = { ...release } as { name?: string; version?: string }
  for (const target of [{ targetindex: 'alice/prod' }, { posturl, username: 'x', password: 'y' }]) {
    expect(await push({ ...release, ...target })).toEqual([400, `there are no files for ${name.toLowerCase()} ${version} on stage alice/child${hint}`])
  }
  expect([upstream.asked.length, server.head(), standIn.seen]).toEqual([asked, head, []])
})

test('an index that the caller may not read is not named', async () => {
  const bob = await server.signUp('bobby', { prod: {} })
  const release = { name: 'hushed', targetindex: 'bobby/prod' }
  expect(await push(release, { by: bob })).toEqual([400, 'there are no files for hushed 1.0 on stage alice/child'])
  expect((await push({ ...release, targetindex: 'alice/prod' }))[1]).toMatch(/ inherits them from alice\/secret/)
})
