import { keys } from '#log-format/keys.js'
import type { MirrorIndexValue } from '#log-format/values.js'
import { type Freshness, MirrorRefresher } from '#server/stages/refresh-mirror.js'
import type { Storage } from '#server/storage/storage.js'
import { UpstreamClient } from '#server/upstream/client.js'
import { TargetHosts } from '#server/upstream/target-hosts.js'
import { sha256Of, SIMPLE_JSON, status, TestUpstream, text } from '#test/support/upstream.js'
import { openStorage, tempFolder } from '../storage/temp-storage.js'

const EXPIRY_MS = 1_800_000

let folder: Awaited<ReturnType<typeof tempFolder>>
let storage: Storage
let upstream: TestUpstream
let client: UpstreamClient
let mirrors: MirrorRefresher
let value: MirrorIndexValue
let time = 1_800_000_000_000

beforeAll(async () => {
  folder = await tempFolder()
  storage = await openStorage(folder.path)
  upstream = await TestUpstream.start()
  const now = (): number => time
  client = new UpstreamClient({ hosts: new TargetHosts(['127.0.0.1'], '--allow-private-upstream'), userAgent: 'test', now, idleTimeoutMs: 60_000 })
  const onFault = (fault: unknown): void => { throw fault }
  mirrors = new MirrorRefresher({ storage, client, now, newRequestId: () => '0123456789abcdef', onFault, limits: { expiryMs: EXPIRY_MS, coldWaitMs: 60_000, staleWaitMs: 60_000 } })
  value = { type: 'mirror', created: 1, volatile: false, mirror_url: upstream.url }
  await storage.transact({ time, actor: 'alice', via: 'token', request: '0123456789abcdef' }, async (tx) => {
    tx.set(keys.index({ user: 'alice', index: 'up' }), value)
    tx.record({ kind: 'index-created', user: 'alice', index: 'up', settings: {} })
  })
})
afterAll(async () => {
  await mirrors[Symbol.asyncDispose]()
  client[Symbol.dispose]()
  await upstream[Symbol.asyncDispose]()
  await storage[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

/** Brings the project up to date once what is known of it has expired. */
async function refresh(project: string): Promise<Freshness['kind']> {
  time += EXPIRY_MS + 1
  return (await mirrors.ensure({ user: 'alice', index: 'up', value }, project)).kind
}

/** A file as the public index describes one, with everything that it may say. */
function fileOf(project: string, at: number, fields: object = {}): object {
  const filename = `${project}-${1 + Math.floor(at / 10)}.${at % 10}-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl`
  const digest = sha256Of(Buffer.from(filename))
  return {
    filename,
    url: `https://files.example.net/packages/${digest.slice(0, 2)}/${digest.slice(2, 4)}/${digest.slice(4)}/${filename}`,
    hashes: { sha256: digest, md5: digest.slice(0, 32) },
    size: 1_234_567 + at,
    'upload-time': '2024-01-02T03:04:05.678901Z',
    'requires-python': '>=3.9',
    yanked: false,
    'core-metadata': { sha256: sha256Of(Buffer.from(digest)) },
    provenance: `https://index.example.net/integrity/${project}/${at}/${filename}/provenance`,
    ...fields,
  }
}

function offer(project: string, files: readonly object[], etag?: string): void {
  const page = JSON.stringify({ meta: { 'api-version': '1.4' }, name: project, versions: [], files })
  upstream.on(`/simple/${project}/`, text(page, { contentType: SIMPLE_JSON, ...(etag !== undefined && { etag }) }))
}

test('a thousand refreshes without change add nothing to the log, whatever form the answer takes', async () => {
  const files = Array.from({ length: 5 }, (_, at) => fileOf('calm', at))
  offer('calm', files, '"0"')
  expect(await refresh('calm')).toBe('fresh')
  const [head, before] = [storage.head.serial, { ...storage.writeCounts }]
  for (let round = 1; round <= 1000; round += 1) {
    const asked = round % 5
    if (asked === 1) offer('calm', [...files.slice(round % 4), ...files.slice(0, round % 4)], `"${round}"`) // another ETag, another order
    if (asked === 2) offer('calm', files) // no validator at all
    if (asked === 3) upstream.on('/simple/calm/', status(round % 2 === 0 ? 503 : 500))
    if (asked === 4) offer('calm', files, '"0"')
    expect(await refresh('calm')).toBe(asked === 3 ? 'failed' : 'fresh')
  }
  expect(upstream.count('/simple/calm/')).toBe(1001)
  expect(storage.head.serial).toBe(head)
  expect(storage.writeCounts).toEqual(before)
}, 30_000)

test('one new file among 3,000 adds at most 1 kB to the log; so does one that is yanked, and one that is gone', async () => {
  const files = Array.from({ length: 3000 }, (_, at) => fileOf('wide', at))
  offer('wide', files)
  expect(await refresh('wide')).toBe('fresh')
  const changes = {
    added: [...files, fileOf('wide', 3000)],
    yanked: [...files, fileOf('wide', 3000, { yanked: 'broken on Tuesdays' })],
    gone: files,
  }
  for (const changed of Object.values(changes)) {
    const before = { ...storage.writeCounts }
    offer('wide', changed)
    expect(await refresh('wide')).toBe('fresh')
    const { entries, bytes } = storage.writeCounts
    expect([entries - before.entries, bytes - before.bytes > 0, bytes - before.bytes <= 1000]).toEqual([1, true, true])
  }
}, 30_000)
