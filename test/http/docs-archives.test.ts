import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { inflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { DocsArchives } from '#server/http/docs-archives.js'
import { DiskBlobs } from '#server/storage/disk-blobs.js'
import { noise } from '#test/support/archives.js'
import { zip, type ZipEntry, type ZipOptions } from '#test/support/zip-builder.js'

const INDEX: ZipEntry = { name: 'index.html', bytes: Buffer.from('index') }

let folder: string
let blobs: DiskBlobs
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'docs-'))
  blobs = await DiskBlobs.open(folder)
})
afterAll(async () => {
  await blobs[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

async function stored(bytes: Uint8Array): Promise<string> {
  using blob = await blobs.putBytes(bytes)
  return blob.sha256
}

function docs(number: number): Promise<string> {
  return stored(zip([{ name: 'index.html', bytes: Buffer.from(`page ${number}`), stored: true }, { name: 'large', bytes: noise(300_000, number), stored: true }]))
}

/** How many files of the folder this process has open, where the system tells. */
async function openFiles(): Promise<number | undefined> {
  const descriptors = await readdir('/proc/self/fd').catch(() => undefined)
  if (descriptors === undefined) return undefined
  const paths = await Promise.all(descriptors.map((descriptor) => readlink(`/proc/self/fd/${descriptor}`).catch(() => '')))
  return paths.filter((path) => /\/[0-9a-f]{64}$/.test(path) && path.startsWith(folder)).length
}

test('only so many stay open, the latest ones; none after disposal', async () => {
  const archives = new DocsArchives(blobs, { mostOpen: 3 })
  for (let number = 0; number < 10; number += 1) {
    using lease = await archives.lease(await docs(number))
    const packed = await lease?.file('index.html')?.openPacked()
    expect(packed && (await buffer(packed)).toString()).toBe(`page ${number}`)
  }
  expect(archives.size).toBe(3)
  await archives[Symbol.asyncDispose]()
  expect(archives.size).toBe(0)
  expect((await openFiles()) ?? 0).toBe(0)
})

test('one that is in use outlives its place among those kept', async () => {
  const archives = new DocsArchives(blobs, { mostOpen: 1 })
  const lease = await archives.lease(await docs(1))
  const packed = await lease?.file('large')?.openPacked()
  for (const number of [2, 3]) (await archives.lease(await docs(number)))?.[Symbol.dispose]()
  expect(packed && (await buffer(packed)).equals(noise(300_000, 1))).toBe(true)
  expect(lease?.file('index.html')).toMatchObject({ size: 6, deflated: false })
  lease?.[Symbol.dispose]()
  await archives[Symbol.asyncDispose]()
})

test('many who ask at once for the same open it once', async () => {
  const archives = new DocsArchives(blobs)
  const sha256 = await docs(20)
  const leases = await Promise.all(Array.from({ length: 20 }, () => archives.lease(sha256)))
  expect(leases.every((lease) => lease !== undefined)).toBe(true)
  expect(archives.size).toBe(1)
  if ((await openFiles()) !== undefined) expect(await openFiles()).toBe(1)
  for (const lease of leases) lease?.[Symbol.dispose]()
  await archives[Symbol.asyncDispose]()
})

test.each<[string, ZipEntry[], ZipOptions]>([
  ['a long comment', [INDEX], { comment: 'x'.repeat(60_000) }],
  ['64-bit records', [INDEX, { name: 'b', bytes: noise(50), zip64Extra: true }], { zip64: true }],
  ['64-bit records and a comment', [INDEX], { zip64: true, comment: 'made by hand' }],
  ['the longest name', [INDEX, { name: 'x'.repeat(0xffff), bytes: noise(9) }], {}],
  ['a long extra field', [{ ...INDEX, extra: Buffer.alloc(60_000) }, { name: 'x'.repeat(60_000), bytes: noise(9) }], {}],
  ['many files', [...Array.from({ length: 5000 }, (_, at) => ({ name: `api/generated/page-${at}.html`, bytes: Buffer.alloc(0), stored: true })), INDEX], {}],
])('%s is no hindrance', async (_, entries, options) => {
  await using archives = new DocsArchives(blobs)
  using lease = await archives.lease(await stored(zip(entries, options)))
  for (const { name, bytes } of entries.slice(-2)) expect(lease?.file(name)).toMatchObject({ size: bytes.length })
  const packed = await lease?.file('index.html')?.openPacked()
  expect(packed && inflateRawSync(await buffer(packed))).toEqual(INDEX.bytes)
})

test('what node-stream-zip cannot read is none', async () => {
  await using archives = new DocsArchives(blobs)
  expect(await archives.lease(await stored(zip([INDEX], { zip64: true, comment: 'x'.repeat(60_000) })))).toBeUndefined()
})

test('what is none is not kept, and a blob may come later', async () => {
  await using archives = new DocsArchives(blobs)
  const bytes = zip([{ name: 'index.html', bytes: Buffer.from('later') }])
  const sha256 = await stored(bytes)
  await blobs.delete(sha256)
  expect(await archives.lease(sha256)).toBeUndefined()
  await stored(bytes)
  const lease = await archives.lease(sha256)
  expect(lease?.file('index.html')).toBeDefined()
  lease?.[Symbol.dispose]()
  for (const none of [noise(200), zip([{ name: 'a/index.html', bytes: noise(9) }])]) {
    const other = await stored(none)
    for (const _ of [1, 2]) expect(await archives.lease(other)).toBeUndefined()
  }
  expect(archives.size).toBe(1)
})

test('a disk that fails is a fault each time, and is tried again', async () => {
  const sha256 = await docs(30)
  let failing = true
  await using archives = new DocsArchives({
    path: (digest) => blobs.path(digest),
    open: async (digest) => {
      if (failing) throw Object.assign(new Error('i/o error'), { code: 'EIO' })
      return await blobs.open(digest)
    },
  })
  for (const _ of [1, 2]) await expect(archives.lease(sha256)).rejects.toMatchObject({ code: 'EIO' })
  failing = false
  const lease = await archives.lease(sha256)
  expect(lease).toBeDefined()
  lease?.[Symbol.dispose]()
})

test('bytes changed anywhere make an archive or none, and its files readable or an error', async () => {
  await using archives = new DocsArchives(blobs, { mostOpen: 2 })
  const bytes = zip([{ name: 'index.html', bytes: Buffer.from('index') }, { name: 'b', bytes: noise(50), zip64Extra: true }], { zip64: true })
  const change = fc.record({ at: fc.nat(bytes.length - 1), value: fc.integer({ min: 0, max: 255 }) })
  await fc.assert(fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
    const changed = Buffer.from(bytes)
    for (const { at, value } of changes) changed[at] = value
    using lease = await archives.lease(await stored(changed))
    const packed = await lease?.file('index.html')?.openPacked().catch(() => undefined)
    if (packed !== undefined) await buffer(packed)
  }), { numRuns: 150 })
})
