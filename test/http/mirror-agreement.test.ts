import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { sha256Of, SIMPLE_JSON, TestUpstream, type UpstreamFile } from '#test/support/upstream.js'

let first: TestUpstream
let second: TestUpstream
let server: TestServer
let alice: TestUser
let time = Date.parse('2026-01-02T03:04:05Z')

beforeAll(async () => {
  first = await TestUpstream.start()
  second = await TestUpstream.start()
  server = await startServer({ config: { privateUpstreams: ['127.0.0.1'] }, now: () => time })
  alice = await server.signUp('alice')
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await first[Symbol.asyncDispose]()
  await second[Symbol.asyncDispose]()
})
/** Past every freshness and every pause of an upstream that failed. */
beforeEach(() => { time += 1_000_000 })

function file(filename: string, content = filename, fields: object = {}): UpstreamFile {
  return { filename, content: Buffer.from(content), fields: { ...fields } }
}

interface Page {
  readonly files: readonly { readonly filename: string; readonly url: string; readonly hashes: { readonly sha256?: string } }[]
}

async function page(index: string, project: string): Promise<Page['files']> {
  time += 200_000
  const reply = await server.fetch(`/${index}/+simple/${project}/`, { headers: { accept: SIMPLE_JSON } })
  expect(reply.status).toBe(200)
  return ((await reply.json()) as Page).files
}

/** Digests by file name. */
async function digests(index: string, project: string): Promise<Record<string, string | undefined>> {
  return Object.fromEntries((await page(index, project)).map(({ filename, hashes }) => [filename, hashes.sha256]))
}

async function download(index: string, project: string, filename: string): Promise<Response> {
  const found = (await page(index, project)).find((one) => one.filename === filename)
  return server.fetch(new URL(found?.url ?? '', `${server.url}/${index}/+simple/${project}/`).pathname)
}

async function why(index: string, project: string): Promise<{ readonly disagreements: unknown }> {
  const reply = await server.fetch(`/${index}/+why/${project}`, { headers: { accept: 'application/json' } })
  return ((await reply.json()) as { result: { disagreements: unknown } }).result
}

const sha = (content: string): string => sha256Of(Buffer.from(content))

describe('a mirror whose mirror_url becomes another', () => {
  test('takes over what the new upstream says, but for a digest that contradicts the one before', async () => {
    await alice.put('/alice/turned', { type: 'mirror', mirror_url: first.url, mirror_cache_expiry: 100 })
    first.project('turned', [file('turned-1.0.zip'), file('turned-2.0.zip'), file('turned-3.0.zip')])
    second.project('turned', [file('turned-1.0.zip'), file('turned-2.0.zip', 'something else'), file('turned-4.0.zip')])
    await page('alice/turned', 'turned')
    await alice.patch('/alice/turned', { mirror_url: second.url })
    expect(await digests('alice/turned', 'turned')).toEqual({ 'turned-1.0.zip': sha('turned-1.0.zip'), 'turned-2.0.zip': sha('turned-2.0.zip'), 'turned-4.0.zip': sha('turned-4.0.zip') })
    expect((await download('alice/turned', 'turned', 'turned-1.0.zip')).status).toBe(200)
    expect([first, second].map((upstream) => upstream.count('/files/turned/turned-1.0.zip'))).toEqual([0, 1])
    expect(await (await download('alice/turned', 'turned', 'turned-2.0.zip')).text()).toBe('turned-2.0.zip')

    expect((await why('alice/turned', 'turned')).disagreements).toEqual([
      { file: 'turned-2.0.zip', version: '2.0', index: 'alice/turned', sha256: sha('turned-2.0.zip'), others: [{ upstream: second.url, sha256: sha('something else') }] },
    ])
    const told = server.log.filter((line) => line.includes('another digest'))
    expect(told).toHaveLength(1)
    expect(told[0]).toContain(sha('something else'))
    expect(await (await server.fetch('/+metrics')).text()).toContain('devpi_mirror_digest_disagreements_total 1')
    const head = server.head()
    await page('alice/turned', 'turned')
    expect(server.head()).toBe(head)
  })

  test('who takes the project off the mirror gets it afresh', async () => {
    await alice.put('/alice/afresh', { type: 'mirror', mirror_url: first.url, mirror_cache_expiry: 100 })
    first.project('afresh', [file('afresh-1.0.zip', 'one')])
    second.project('afresh', [file('afresh-1.0.zip', 'another')])
    expect(await digests('alice/afresh', 'afresh')).toEqual({ 'afresh-1.0.zip': sha('one') })
    await alice.patch('/alice/afresh', { mirror_url: second.url })
    expect(await digests('alice/afresh', 'afresh')).toEqual({ 'afresh-1.0.zip': sha('one') })
    expect((await alice.delete('/alice/afresh/afresh')).status).toBe(200)
    expect(await digests('alice/afresh', 'afresh')).toEqual({ 'afresh-1.0.zip': sha('another') })
    expect((await why('alice/afresh', 'afresh')).disagreements).toEqual([])
  })

  test('one upstream may change its mind about a file of its own', async () => {
    await alice.put('/alice/moody', { type: 'mirror', mirror_url: first.url, mirror_cache_expiry: 100 })
    first.project('moody', [file('moody-1.0.zip', 'one')])
    await page('alice/moody', 'moody')
    first.project('moody', [file('moody-1.0.zip', 'two')])
    expect(await digests('alice/moody', 'moody')).toEqual({ 'moody-1.0.zip': sha('two') })
    expect((await why('alice/moody', 'moody')).disagreements).toEqual([])
  })
})
