import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ALL_PROJECTIONS } from '#server/projections/all.js'
import { verifyStore } from '#server/storage/verify.js'
import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { filePathOf } from './upload-server.js'

const FILE = wheel('demo', '1.0')
const PATH = filePathOf('dev', FILE)

let server: TestServer
let nina: TestUser
let serverDir: string
beforeAll(async () => {
  serverDir = await mkdtemp(join(tmpdir(), 'devpi-tox-'))
  server = await startServer({ serverDir, now: () => (now += 1000) })
  nina = await server.signUp('nina', { dev: {}, prod: { volatile: false }, child: { bases: ['nina/dev'] }, private: { acl_read: ['nina'] } })
  for (const index of ['dev', 'private']) expect((await nina.upload(index, FILE)).status).toBe(200)
})
/** What is folded from the log afresh has the same bytes. */
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  const findings: string[] = []
  await verifyStore({ folder: serverDir, projections: ALL_PROJECTIONS, onFinding: ({ message }) => findings.push(message) })
  await rm(serverDir, { recursive: true })
  expect(findings).toEqual([])
})
let now = Date.UTC(2026, 0, 1)

const report = (host: string, codes: Readonly<Record<string, number>>): object => ({
  host,
  platform: 'linux',
  testenvs: Object.fromEntries(Object.entries(codes).map(([name, retcode]) => [name, { setup: [{ retcode: 0 }], test: [{ retcode }], python: { version: '3.11.7' } }])),
})

async function post(path: string, document: object): Promise<string> {
  const reply = await nina.post(path, document)
  expect(reply.status).toBe(200)
  return ((await reply.json()) as { result: string }).result.split('#')[0] ?? ''
}

interface Row { readonly host: string; readonly environment: string; readonly state: string; readonly href: string; readonly time: string }

async function summaries(index: string, as: TestServer | TestUser = nina): Promise<Row[]> {
  const reply = await as.fetch(`/nina/${index}/demo/1.0/+toxresults`, { headers: { Accept: 'application/json' } })
  expect(reply.status).toBe(200)
  const { type, result } = (await reply.json()) as { type: string; result: Row[] }
  expect(type).toBe('toxresults')
  return result
}

const inShort = async (index: string): Promise<string[]> =>
  (await summaries(index)).map(({ host, environment, state }) => `${host} ${environment} ${state}`)

test('a report from its arrival to its removal', async () => {
  expect(await summaries('dev')).toEqual([])
  const first = await post(PATH, report('box', { py311: 1, docs: 0 }))
  const row = { file: FILE.filename, host: 'box', platform: 'linux', python: '3.11.7', commands: 2, href: `${server.url}/${first}` }
  const [docs, py311] = await summaries('dev')
  expect(docs).toEqual({ ...row, environment: 'docs', state: 'passed', failed: 0, time: docs?.time })
  expect(py311).toEqual({ ...row, environment: 'py311', state: 'failed', failed: 1, time: docs?.time })
  expect(new Date(docs?.time ?? '').toISOString().replace(/\D/g, '').slice(0, 14)).toBe(/toxresult-(\d+)/.exec(first)?.[1])

  const second = await post(PATH, report('box', { py311: 0 }))
  await post(PATH, report('cube', { py311: 1 }))
  await post(PATH, { any: 'thing' })
  await post(PATH, { ...report('large', { py311: 0 }), padding: 'x'.repeat(1024 * 1024) })
  const all = ['box docs passed', 'box py311 passed', 'cube py311 failed']
  expect(await inShort('dev')).toEqual(all)
  expect(await inShort('child')).toEqual(all)

  expect((await nina.post('/nina/dev', { name: 'demo', version: '1.0', targetindex: 'nina/prod' })).status).toBe(200)
  expect(await inShort('prod')).toEqual(all)
  expect((await summaries('prod')).map(({ time }) => time)).toEqual((await summaries('dev')).map(({ time }) => time))
  expect((await nina.put('/nina/copy', { clone: 'nina/dev' })).status).toBe(200)
  expect(await inShort('copy')).toEqual(all)

  expect((await nina.delete(`/${second}`)).status).toBe(200)
  expect(await inShort('dev')).toEqual(['box docs passed', 'box py311 failed', 'cube py311 failed'])
  expect(await inShort('prod')).toEqual(all)

  const removed = await nina.delete('/nina/dev/demo/1.0')
  expect(removed.status).toBe(200)
  expect((await nina.get('/nina/dev/demo/1.0/+toxresults')).status).toBe(404)
  const serial = Number(removed.headers.get('x-devpi-serial'))
  expect((await nina.post('/+undo', { serial })).status).toBe(200)
  expect(await inShort('dev')).toEqual(['box docs passed', 'box py311 failed', 'cube py311 failed'])
})

test('only whom the index is shown to sees what was tested', async () => {
  await post(filePathOf('private', FILE), report('box', { py311: 0 }))
  expect(await inShort('private')).toEqual(['box py311 passed'])
  const path = '/nina/private/demo/1.0/+toxresults'
  expect((await server.fetch(path, { headers: { Accept: 'application/json' } })).status).toBe(401)
  const bob = await server.signUp('bob')
  expect((await bob.get(path)).status).toBe(403)
})

test.each([
  ['/nina/dev/demo/2.0/+toxresults', 404],
  ['/nina/dev/other/1.0/+toxresults', 404],
  ['/nina/none/demo/1.0/+toxresults', 404],
  ['/root/pypi/demo/1.0/+toxresults', 404],
])('%s: %i', async (path, status) => {
  expect((await nina.get(path)).status).toBe(status)
})

test('nothing can be posted there', async () => {
  const reply = await nina.post('/nina/dev/demo/1.0/+toxresults', {})
  expect([reply.status, reply.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
})
