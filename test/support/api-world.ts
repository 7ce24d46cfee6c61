import type { JsonValue } from '#log-format/values.js'
import type { Operation } from '#server/http/api-description/description.js'
import { sdist, wheel } from './archives.js'
import { docsUpload, pages } from './docs.js'
import { type TestServer, TestUser } from './server.js'
import { uploadForm } from './upload-form.js'
import { zip } from './zip-builder.js'

/** A small world in which the example of every description can be done, by its owner. */
export interface ApiWorld {
  readonly alice: TestUser
  /** Has an index and no rights on those of alice. */
  readonly mallory: TestUser
  /** An API token of alice that is for reading only. */
  readonly readingToken: string
  /** What stands for the names in braces of a path. */
  readonly places: Readonly<Record<string, string>>
  /** Serial of a removal that can be undone. */
  readonly removal: number
}

const PROJECT = 'hello-devpi'
const TOX_REPORT = { host: 'builder', platform: 'linux', testenvs: { py311: { python: { version: '3.11.2' }, test: [{ retcode: 0 }] } } }
const WHEEL = wheel(PROJECT, '1.0')

/** Makes the world anew, whatever was done to an earlier one. */
export async function makeWorld(server: TestServer, root: TestUser): Promise<ApiWorld> {
  await Promise.all(['/alice', '/bob', '/mallory', '/+groups/devs', '/+groups/new'].map((path) => clear(root, path)))
  const [alice, mallory] = await Promise.all([signUp(server, root, 'alice'), signUp(server, root, 'mallory')])
  await Promise.all([
    done(root.put('/alice/dev', { acl_upload: 'alice', acl_toxresult_upload: 'alice' })),
    done(root.put('/alice/prod', { acl_upload: 'alice' })),
    done(root.put('/mallory/dev', {})),
    done(root.put('/+groups/devs', { members: ['mallory'] })),
  ])
  await Promise.all([
    done(alice.upload('dev', WHEEL)),
    done(alice.upload('dev', sdist(PROJECT, '0.9'))),
    done(alice.upload('dev', docsUpload(PROJECT, '1.0', zip(pages({ 'index.html': 'hello' }))))),
  ])
  await done(alice.post(await fileOf(alice), TOX_REPORT))
  const { id, token } = await makeToken(alice)
  const removed = await done(alice.delete(`/alice/dev/${PROJECT}/0.9`))
  const [dirA = '', dirB = ''] = (await fileOf(alice)).split('/').slice(4)
  return {
    alice,
    mallory,
    readingToken: token,
    removal: Number(removed.headers.get('x-devpi-serial')),
    places: {
      user: 'alice',
      group: 'devs',
      index: 'dev',
      project: PROJECT,
      version: '1.0',
      serial: removed.headers.get('x-devpi-serial') ?? '',
      id,
      dirA,
      dirB,
      basename: WHEEL.filename,
      path: 'index.html',
    },
  }
}

/** What an operation needs instead of its own example, since that is there already, or is nowhere. */
interface Instead {
  readonly places?: Readonly<Record<string, string>>
  readonly body?: JsonValue | FormData
}

/** An operation whose example works as it stands needs no line here. */
function insteadOf({ removal }: ApiWorld): Readonly<Record<string, Instead>> {
  return {
    createUser: { places: { user: 'bob' } },
    createGroup: { places: { group: 'new' } },
    modifyGroup: { body: ['members+=alice'] },
    createToken: { body: { name: 'ci', actions: ['read'], indexes: ['alice/dev'] } },
    createIndex: { places: { index: 'new' } },
    cloneIndex: { places: { index: 'new' }, body: { clone: 'alice/dev' } },
    uploadFile: { body: uploadForm(wheel(PROJECT, '1.1')) },
    uploadDocs: { body: uploadForm(docsUpload(PROJECT, '1.0', zip(pages({ 'index.html': 'hello again' })))) },
    registerVersion: { body: registrationForm() },
    pushElsewhere: { body: { name: PROJECT, version: '1.0', posturl: 'http://127.0.0.1:9/', username: 'alice', password: 'secret' } },
    undoRemoval: { body: { serial: removal } },
  }
}

export interface WorldRequest {
  readonly path: string
  readonly init: { readonly method: string; readonly headers: Readonly<Record<string, string>>; readonly body?: string | FormData }
}

/** The address and the request by which an operation is done in the world. */
export function requestOf(world: ApiWorld, { id, method, path, body }: Operation, at = path): WorldRequest {
  const instead = insteadOf(world)[id]
  const places: Readonly<Record<string, string>> = { ...world.places, ...instead?.places }
  const address = at.replace(/\{(\w+)\}/g, (_, name: string) => places[name] ?? name)
  const sent = instead?.body ?? body?.example
  if (sent === undefined) return { path: address, init: { method, headers: { Accept: 'application/json' } } }
  if (sent instanceof FormData) return { path: address, init: { method, headers: {}, body: sent } }
  const headers = { Accept: 'application/json', 'Content-Type': 'application/json' }
  return { path: address, init: { method, headers, body: JSON.stringify(sent) } }
}

/** Path of the wheel. */
async function fileOf(alice: TestUser): Promise<string> {
  const page = await (await alice.get('/alice/dev/+simple/hello-devpi/')).text()
  return `/alice/dev/${/\+f\/\w+\/\w+\/hello_devpi-1\.0[^"#]*/.exec(page)?.[0] ?? ''}`
}

function registrationForm(): FormData {
  const form = new FormData()
  for (const [field, value] of Object.entries({ ':action': 'submit', name: PROJECT, version: '1.2' })) form.set(field, value)
  return form
}

async function clear(root: TestUser, path: string): Promise<void> {
  const gone = await root.delete(path)
  if (gone.status !== 404) await done(Promise.resolve(gone))
}

async function signUp(server: TestServer, root: TestUser, user: string): Promise<TestUser> {
  const password = `${user} secret`
  await done(root.put(`/${user}`, { password }))
  const reply = await done(server.fetch('/+login', { method: 'POST', body: JSON.stringify({ user, password }) }))
  const { result } = (await reply.json()) as { result: { password: string } }
  return new TestUser(server.fetch, user, result.password)
}

async function makeToken(user: TestUser): Promise<{ readonly id: string; readonly token: string }> {
  const reply = await done(user.post('/alice/+tokens', { name: 'reader', actions: ['read'], indexes: ['*'] }))
  const { result } = (await reply.json()) as { result: { id: string; token: string } }
  return result
}

async function done(sent: Promise<Response>): Promise<Response> {
  const reply = await sent
  if (!reply.ok) throw new Error(`${reply.status} ${reply.url}: ${await reply.text()}`)
  return reply
}
