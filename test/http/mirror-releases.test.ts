import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { sha256Of, status, TestUpstream, text, type UpstreamFile } from '#test/support/upstream.js'
import { uploadForm } from '#test/support/upload-form.js'

const JSON_HEADERS = { accept: 'application/json' }

let upstream: TestUpstream
let server: TestServer
let alice: TestUser
let time = Date.parse('2026-01-02T03:04:05Z')

beforeAll(async () => {
  upstream = await TestUpstream.start()
  server = await startServer({ config: { privateUpstreams: ['127.0.0.1'] }, now: () => time })
  alice = await server.signUp('alice', {
    mirror: { type: 'mirror', mirror_url: upstream.url, mirror_cache_expiry: 100 },
    dev: { bases: ['alice/mirror'] },
  })
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})
beforeEach(() => { time += 1_000_000 })

function file(filename: string, fields: UpstreamFile['fields'] = {}): UpstreamFile {
  return { filename, content: Buffer.from(filename), fields }
}

interface Link {
  readonly href: string
  readonly [field: string]: unknown
}
interface Version {
  readonly name: string
  readonly version: string
  readonly '+links': readonly Link[]
  readonly '+shadowing'?: readonly Version[]
  readonly [field: string]: unknown
}

async function get<T>(path: string, expected = 200): Promise<T> {
  const reply = await server.fetch(path, { headers: JSON_HEADERS })
  const body = (await reply.json()) as { result: T }
  expect([path, reply.status]).toEqual([path, expected])
  return body.result
}

test('a project and a version of a mirror as JSON, cold, with what the upstream says of its files', async () => {
  upstream.project('demo', [file('demo-1.0.zip', { 'requires-python': '>=3.9' }), file('demo-1.0-py3-none-any.whl'), file('demo-0.9.zip', { yanked: 'bad' })])
  const version = await get<Version>('/alice/mirror/demo/1.0')
  const content = sha256Of(Buffer.from('demo-1.0.zip'))
  expect(version).toMatchObject({ name: 'demo', version: '1.0', requires_python: '>=3.9' })
  expect(version).not.toHaveProperty('yanked')
  expect(version['+links'].map(({ href }) => href.split('/').at(-1)).sort()).toEqual(['demo-1.0-py3-none-any.whl', 'demo-1.0.zip'])
  const zip = version['+links'].find(({ href }) => href.endsWith('.zip'))
  expect(zip).toEqual({ rel: 'releasefile', hash_spec: `sha256=${content}`, hashes: { sha256: content }, href: `${server.url}/alice/mirror/+f/${content.slice(0, 3)}/${content.slice(3, 16)}/demo-1.0.zip` })
  expect(await (await server.fetch(new URL(zip?.href ?? '').pathname)).text()).toBe('demo-1.0.zip')

  const project = await get<Record<string, Version>>('/alice/mirror/demo')
  expect(Object.keys(project)).toEqual(['1.0', '0.9'])
  expect(project['0.9']).toMatchObject({ yanked: 'bad', '+links': [{ yanked: 'bad' }] })
  expect(await get<Record<string, Version>>('/alice/dev/demo')).toEqual(project)
  expect(await get<object>('/alice/dev/demo?ignore_bases=')).toEqual({})
  expect(await get<Version>('/alice/dev/demo/1.0.0')).toEqual(version) // PEP 440: the same version
  expect(upstream.count('/simple/demo/')).toBe(1)
})

test('what there is not is 404, what cannot be asked 502 unless it is known, then marked', async () => {
  await get('/alice/mirror/none', 404)
  await get('/alice/dev/none/1.0', 404)
  upstream.on('/simple/down/', status(500))
  for (const path of ['/alice/mirror/down', '/alice/mirror/down/1.0', '/alice/dev/down', '/alice/dev/down/1.0']) await get(path, 502)
  upstream.project('down', [file('down-1.0.zip')])
  time += 100_000
  await get('/alice/mirror/down')
  upstream.on('/simple/down/', status(500))
  time += 200_000
  for (const path of ['/alice/mirror/down', '/alice/dev/down/1.0']) {
    const reply = await server.fetch(path, { headers: JSON_HEADERS })
    expect([reply.status, reply.headers.get('cache-control')]).toEqual([200, expect.stringContaining('no-store')])
  }
  await get('/alice/mirror/down/2.0', 502)
})

test('a private name shows nothing of a mirror, unless the whitelist opens it', async () => {
  await alice.upload('dev', wheel('both', '1.0'))
  upstream.project('both', [file('both-1.0.zip'), file('both-9.0.zip')])
  expect(Object.keys(await get<object>('/alice/dev/both'))).toEqual(['1.0'])
  await get('/alice/dev/both/9.0', 404)
  expect(upstream.count('/simple/both/')).toBe(0)
  await get('/alice/mirror/both')
  await get('/alice/dev/both/9.0', 404)
  await alice.put('/alice/open', { bases: ['alice/dev'], mirror_whitelist: ['both'] })
  const opened = await get<Record<string, Version>>('/alice/open/both')
  expect(Object.keys(opened)).toEqual(['9.0', '1.0'])
  expect(opened['1.0']?.['+shadowing']?.[0]?.['+links'][0]?.href).toMatch(/\/alice\/mirror\/\+f\/.*both-1\.0\.zip$/)
})

test('the record of a file, before it was ever fetched', async () => {
  upstream.project('record', [file('record-1.0.zip', { 'upload-time': '2020-01-02T03:04:05Z' })])
  upstream.on('/simple/bare/', text(`<a href="${upstream.origin}/x/bare-1.0.zip">x</a>`))
  const [record, bare] = await Promise.all(['record', 'bare'].map((name) => get<Version>(`/alice/mirror/${name}/1.0`)))
  const sha256 = sha256Of(Buffer.from('record-1.0.zip'))
  expect(await get(new URL(record?.['+links'][0]?.href ?? '').pathname)).toEqual({
    last_modified: 'Thu, 02 Jan 2020 03:04:05 GMT',
    hash_spec: `sha256=${sha256}`,
    hashes: { sha256 },
    project: 'record',
    version: '1.0',
    url: `${upstream.origin}/files/record/record-1.0.zip`,
  })
  expect(bare?.['+links'][0]).toMatchObject({ hash_spec: '', hashes: {} })
  expect(await get(new URL(bare?.['+links'][0]?.href ?? '').pathname)).toMatchObject({ hash_spec: '', hashes: {} })
  expect(upstream.count('/files/record/record-1.0.zip')).toBe(0)
})

test('nothing is uploaded to, registered on, pushed to, yanked or removed from a mirror, except a whole project', async () => {
  upstream.project('still', [file('still-1.0.zip')])
  const version = await get<Version>('/alice/mirror/still/1.0')
  const path = new URL(version['+links'][0]?.href ?? '').pathname
  await alice.upload('dev', wheel('own', '1.0'))
  const head = server.head()
  const submit = new URLSearchParams({ ':action': 'submit', name: 'x', version: '1.0' })
  const attempts: readonly (readonly [number, () => Promise<Response>])[] = [
    [404, () => alice.fetch('/alice/mirror/', { method: 'POST', body: uploadForm(wheel('own', '1.0')) })],
    [404, () => alice.fetch('/alice/mirror/', { method: 'POST', body: submit })],
    [403, () => alice.fetch('/alice/dev', { method: 'PUSH', body: JSON.stringify({ name: 'own', version: '1.0', targetindex: 'alice/mirror' }) })],
    [403, () => alice.patch('/alice/mirror/still/1.0', { yanked: true })],
    [403, () => alice.patch(path, { yanked: true })],
    [403, () => alice.delete(path)],
    [403, () => alice.delete('/alice/mirror/still/1.0')],
  ]
  for (const [wanted, attempt] of attempts) {
    const reply = await attempt()
    expect([wanted, reply.status, (await reply.text()) !== '']).toEqual([wanted, wanted, true])
  }
  expect(server.head()).toBe(head)
  expect((await alice.delete('/alice/mirror/still')).status).toBe(200)
  expect((await server.fetch(path)).status).toBe(404)
  expect(Object.keys(await get<object>('/alice/mirror/still'))).toEqual(['1.0'])
})

test('what a policy hides of a mirror is not told as JSON either', async () => {
  upstream.project('ruled', [file('ruled-1.0.zip'), file('ruled-2.0.zip')])
  await alice.put('/alice/strict', { bases: ['alice/mirror'], constraints: ['ruled<2'] })
  expect(Object.keys(await get<object>('/alice/strict/ruled'))).toEqual(['1.0'])
  await get('/alice/strict/ruled/2.0', 404)
  await alice.patch('/alice/mirror', { constraints: ['!ruled'] })
  expect(await get<object>('/alice/dev/ruled')).toEqual({})
  await alice.patch('/alice/mirror', { constraints: null })
})

test('a mirror that sends away for files does so only for those that are not stored here', async () => {
  upstream.project('away', [file('away-1.0.zip')])
  await alice.put('/alice/outward', { type: 'mirror', mirror_url: upstream.url.replace('//', '//robin:secret@'), mirror_use_external_urls: true })
  await alice.put('/alice/kept', {})
  const version = await get<Version>('/alice/outward/away/1.0')
  const path = new URL(version['+links'][0]?.href ?? '').pathname
  for (const method of ['GET', 'HEAD']) {
    const reply = await server.fetch(path, { method })
    expect([reply.status, reply.headers.get('location')]).toEqual([302, `${upstream.origin}/files/away/away-1.0.zip`]) // without credentials
  }
  expect(upstream.count('/files/away/away-1.0.zip')).toBe(0)
  expect((await alice.post('/alice/outward/', { name: 'away', version: '1.0', targetindex: 'alice/kept' })).status).toBe(200)
  expect(await (await server.fetch(path)).text()).toBe('away-1.0.zip')
  expect(upstream.count('/files/away/away-1.0.zip')).toBe(1)
})
