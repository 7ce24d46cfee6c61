import { mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DiskBlobs } from '#server/storage/disk-blobs.js'
import { verifyBlob } from '#server/storage/verify-blob.js'
import { MemoryBlobs } from '#test/support/memory-blobs.js'
import { blobStoreSuite, content, pieces, sha256Of } from './blob-store.suite.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blobs-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true })
})

blobStoreSuite('disk blobs', () => DiskBlobs.open(join(folder, 'files')))
blobStoreSuite('memory blobs', async () => new MemoryBlobs())

test('lays files out by the first two digits', async () => {
  await using blobs = await DiskBlobs.open(folder)
  using blob = await blobs.putBytes(content(9))
  const { sha256 } = blob
  expect(blobs.path(sha256)).toBe(join(folder, sha256.slice(0, 2), sha256))
  expect(await readdir(join(folder, sha256.slice(0, 2)))).toEqual([sha256])
  const folders = await readdir(folder)
  expect(folders).toHaveLength(1 + 256)
  expect(folders).toContain('+tmp')
})

test.each(['', 'ab', '../../etc/passwd', 'A'.repeat(64), 'a'.repeat(65), `${'a'.repeat(63)}/`])('has no path for %j', async (text) => {
  await using blobs = await DiskBlobs.open(folder)
  expect(() => blobs.path(text)).toThrow('not a sha256')
  await expect(blobs.open(text)).rejects.toThrow('not a sha256')
})

test('keeps blobs and removes half-received files when opened again', async () => {
  const sha256 = sha256Of(content(50))
  {
    await using blobs = await DiskBlobs.open(folder)
    using _ = await blobs.putBytes(content(50))
    await writeFile(join(folder, '+tmp', '1'), 'the process was killed here')
    expect(await readdir(join(folder, '+tmp'))).toHaveLength(1)
  }
  await using blobs = await DiskBlobs.open(folder)
  expect(await readdir(join(folder, '+tmp'))).toEqual([])
  expect(await verifyBlob(blobs, sha256)).toBe('ok')
})

test('leaves no temp file after a refusal, an abort or a commit', async () => {
  await using blobs = await DiskBlobs.open(folder)
  await expect(blobs.receive(pieces(content(900_000), 65_536), { maxBytes: 800_000 })).rejects.toMatchObject({ kind: 'too-large' })
  const signal = AbortSignal.abort(new Error('gone'))
  await expect(blobs.putBytes(content(5), { signal })).rejects.toThrow('gone')
  await using received = await blobs.receive(pieces(content(900_000), 65_536), { maxBytes: 900_000 })
  await received.commit()
  for (const size of [5, 900_000]) await (await blobs.receive(pieces(content(size), 65_536), { maxBytes: 900_000 }))[Symbol.asyncDispose]()
  expect(await readdir(join(folder, '+tmp'))).toEqual([])
})

test('makes the folders that a copy of the store left out, as they were empty', async () => {
  await (await DiskBlobs.open(folder))[Symbol.asyncDispose]()
  const subfolder = sha256Of(content(9)).slice(0, 2)
  await rm(join(folder, subfolder), { recursive: true })
  {
    await using blobs = await DiskBlobs.open(folder)
    using _ = await blobs.putBytes(content(9))
    await rm(join(folder, subfolder === '00' ? '01' : '00'), { recursive: true })
    const listed: string[] = []
    for await (const { sha256 } of blobs.list()) listed.push(sha256)
    expect(listed).toEqual([sha256Of(content(9))])
  }
})

test('makes a folder again that somebody removed while the store is open, before and after its first blob', async () => {
  await using blobs = await DiskBlobs.open(folder)
  const sha256 = sha256Of(content(9))
  for (const count of [1, 1, 3]) {
    await rm(join(folder, sha256.slice(0, 2)), { recursive: true })
    await Promise.all(Array.from({ length: count }, () => blobs.putBytes(content(9))))
    expect(await verifyBlob(blobs, sha256)).toBe('ok')
  }
  expect(await readdir(join(folder, '+tmp'))).toEqual([])
})

test('finds damage, and heals it when the bytes come again', async () => {
  await using blobs = await DiskBlobs.open(folder)
  using blob = await blobs.putBytes(content(50))
  await truncate(blobs.path(blob.sha256), 49)
  expect(await verifyBlob(blobs, blob.sha256)).toBe('damaged')
  await writeFile(blobs.path(blob.sha256), content(51).subarray(0, 50))
  expect(await verifyBlob(blobs, blob.sha256)).toBe('damaged')
  using _ = await blobs.putBytes(content(50))
  expect(await verifyBlob(blobs, blob.sha256)).toBe('ok')
})

test('lists nothing that is not a blob', async () => {
  await using blobs = await DiskBlobs.open(folder)
  await writeFile(join(folder, '00', 'README'), 'hello')
  await writeFile(join(folder, '00', 'ff'.repeat(32)), 'in the wrong folder')
  for await (const blob of blobs.list()) throw new Error(`listed ${blob.sha256}`)
})

test('the same content many times at once is one blob, whoever comes first', async () => {
  await using blobs = await DiskBlobs.open(folder)
  const sizes = [3, 3, 300_000, 3, 300_000]
  const received = await Promise.all(sizes.map((size) => blobs.receive(pieces(content(size), 65_536), { maxBytes: 900_000 })))
  await Promise.all(received.map((blob) => blob.commit()))
  await Promise.all(received.map((blob) => blob[Symbol.asyncDispose]()))
  const listed: string[] = []
  for await (const { sha256 } of blobs.list()) listed.push(sha256)
  expect(listed.sort()).toEqual([sha256Of(content(3)), sha256Of(content(300_000))].sort())
  for (const sha256 of listed) expect(await verifyBlob(blobs, sha256)).toBe('ok')
  expect(await readdir(join(folder, '+tmp'))).toEqual([])
})

test('a small content that the disk did not take leaves nothing behind', async () => {
  await using blobs = await DiskBlobs.open(folder)
  await using received = await blobs.receive(pieces(content(5), 65_536), { maxBytes: 100 })
  await rm(join(folder, '+tmp'), { recursive: true }) // so that it cannot be moved to its place
  await expect(received.commit()).rejects.toThrow('ENOENT')
  expect(await blobs.stat(received.sha256)).toBeUndefined()
  await expect(blobs.receive(pieces(content(300_000), 65_536), { maxBytes: 900_000 })).rejects.toThrow('ENOENT')
})
