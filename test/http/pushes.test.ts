import { sdist, wheel } from '#test/support/archives.js'
import { filePathOf, startUploadServer, type UploadServer, uploadTo } from './upload-server.js'

let server: UploadServer
beforeAll(async () => {
  server = await startUploadServer()
  for (const index of ['dev', 'private']) {
    await uploadTo(server, index, 'demo', '1.0', wheel('demo', '1.0'))
    await uploadTo(server, index, 'demo', '1.0', sdist('demo', '1.0'))
  }
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  expect(server.faults).toEqual([])
})

function push(body: unknown, { user = 'nina', from = 'dev' } = {}): Promise<Response> {
  const headers = { Accept: 'application/json', 'Content-Type': 'application/json', ...(user !== '' && { Authorization: server.auth(user) }) }
  return server.fetch(`/nina/${from}`, { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) })
}

const PUSH = { name: 'Demo', version: '1.0', targetindex: 'nina/prod' }

test('a release is copied with everything; the second time all of it is there', async () => {
  for (const round of [1, 2]) {
    const head = server.head()
    const reply = await push(PUSH)
    expect([reply.status, reply.headers.get('content-type')]).toEqual([200, 'application/json'])
    expect(await reply.json()).toEqual({
      type: 'actionlog',
      result: [
        [200, 'register', 'demo', '1.0', '->', 'nina/prod'],
        [200, 'store_releasefile', filePathOf('prod', wheel('demo', '1.0')).slice(1)],
        [200, 'store_releasefile', filePathOf('prod', sdist('demo', '1.0')).slice(1)],
      ],
    })
    expect(server.head()).toBe(round === 1 ? head + 1 : head)
  }
  expect((await server.fetch(`${filePathOf('prod', wheel('demo', '1.0'))}.metadata`)).status).toBe(200)
})

test('other bytes under a name that the target keeps are a conflict, and nothing is copied', async () => {
  await uploadTo(server, 'dev', 'clash', '1.0', wheel('clash', '1.0'))
  await uploadTo(server, 'dev', 'clash', '1.0', sdist('clash', '1.0'))
  await uploadTo(server, 'prod', 'clash', '1.0', sdist('clash', '1.0', { padding: 1 }))
  const head = server.head()
  const reply = await push({ ...PUSH, name: 'clash' })
  expect([reply.status, await reply.json()]).toEqual([409, { message: 'clash-1.0.tar.gz already exists in non-volatile index' }])
  expect(server.head()).toBe(head)
})

test.each<[string, unknown, Parameters<typeof push>[1], number, RegExp]>([
  ['an unknown index', PUSH, { from: 'nope' }, 404, /^The stage nina\/nope could not be found\.$/],
  ['an unknown index, whatever the body', '{nope', { from: 'nope' }, 404, /nina\/nope/],
  ['a private index', PUSH, { from: 'private', user: '' }, 401, /./],
  ['no JSON', '{nope', {}, 400, /^Bad request: could not decode json$/],
  ['no body', '', {}, 400, /^Bad request: could not decode json$/],
  ['a list', [], {}, 400, /object/],
  ['no name', { ...PUSH, name: undefined }, {}, 400, /name/],
  ['a name that is no text', { ...PUSH, name: 1 }, {}, 400, /name/],
  ['no version', { ...PUSH, version: undefined }, {}, 400, /version/],
  ['an unknown project', { ...PUSH, name: 'other' }, {}, 400, /^there are no files for other 1.0 on stage nina\/dev$/],
  ['an unknown version', { ...PUSH, version: '9.0' }, {}, 400, /^there are no files for demo 9.0 on stage nina\/dev$/],
  ['a version with a slash', { ...PUSH, version: '1/0' }, {}, 400, /^there are no files for /],
  ['both flags', { ...PUSH, no_docs: true, only_docs: true }, {}, 400, /^can't use 'no_docs' and 'only_docs' together$/],
  ['a flag that is none', { ...PUSH, no_docs: 'yes' }, {}, 400, /^no_docs must be true or false$/],
  ['nothing left', { ...PUSH, only_docs: true }, {}, 404, /^no release\/files found for demo 1.0$/],
  ['further options', { ...PUSH, foo: 1, bar: 2 }, {}, 400, /^unknown additional options: bar, foo$/],
  ['a target with a slash in front', { ...PUSH, targetindex: '/nina/prod' }, {}, 400, /^targetindex not in format user\/index$/],
  ['a target that is no index', { ...PUSH, targetindex: 'prod' }, {}, 400, /^targetindex not in format user\/index$/],
  ['a target that is no text', { ...PUSH, targetindex: ['nina', 'prod'] }, {}, 400, /^targetindex not in format user\/index$/],
  ['no target', { ...PUSH, targetindex: undefined }, {}, 400, /targetindex/],
  ['an unknown target', { ...PUSH, targetindex: 'nina/nope' }, {}, 404, /^The stage nina\/nope could not be found\.$/],
  ['the index itself', { ...PUSH, targetindex: 'nina/dev' }, {}, 400, /already/],
  ['a mirror', { ...PUSH, targetindex: 'nina/mirror' }, {}, 403, /cannot upload to 'nina\/mirror'/],
  ['without the right', PUSH, { user: 'bob' }, 403, /^user 'bob' cannot upload to 'nina\/prod'$/],
  ['nobody', PUSH, { user: '' }, 401, /./],
])('%s is refused', async (_, body, options, status, message) => {
  const head = server.head()
  const reply = await push(body, options)
  expect([reply.status, ((await reply.json()) as { message: string }).message]).toEqual([status, expect.stringMatching(message)])
  expect(server.head()).toBe(head)
})
