import { createHash } from 'node:crypto'
import { readdir, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { DiskBlobs } from '#server/storage/disk-blobs.js'
import { PartialBlobs } from '#server/storage/partial-blobs.js'
import { refusalOf, type TempFolder, tempFolder } from './temp-storage.js'

const CONTENT = Buffer.from(Array.from({ length: 600_000 }, (_, at) => (at * at) % 251))
const SHA256 = createHash('sha256').update(CONTENT).digest('hex')

let folder: TempFolder
let blobs: DiskBlobs
let partials: PartialBlobs
const written: number[] = []
const options = { maxBytes: CONTENT.length, signal: new AbortController().signal, onWritten: (_: string, bytes: number) => written.push(bytes) }
beforeEach(async () => {
  folder = await tempFolder()
  blobs = await DiskBlobs.open(folder.path)
  partials = await PartialBlobs.open(blobs, folder.path)
  written.length = 0
})
afterEach(async () => {
  await blobs[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

function part(start: number, end: number): Readable {
  return Readable.from([CONTENT.subarray(start, end)])
}

/** Ends as a connection does that breaks. */
async function* cut(start: number, end: number): AsyncGenerator<Buffer> {
  yield CONTENT.subarray(start, end)
  throw new Error('cut')
}

test('goes on where it broke off, also after a restart, and is a blob when it is whole', async () => {
  {
    await using partial = await partials.resume(SHA256)
    await expect(partial.append(Readable.from(cut(0, 300_000)), options)).rejects.toThrow('cut')
    expect(partial.size).toBe(300_000)
    await partial.append(part(300_000, 400_000), options)
    expect(partial.isRight).toBe(false)
  }
  await blobs[Symbol.asyncDispose]()
  blobs = await DiskBlobs.open(folder.path)
  partials = await PartialBlobs.open(blobs, folder.path)
  expect(await partials.list()).toEqual([SHA256])

  await using partial = await partials.resume(SHA256)
  expect(partial.size).toBe(400_000)
  await partial.append(part(400_000, 600_000), options)
  expect(written).toEqual([300_000, 400_000, 600_000])
  expect(await blobs.stat(SHA256)).toBeUndefined()
  await partial.store()
  expect(CONTENT.equals((await blobs.read(SHA256))!)).toBe(true)
  expect(await partials.list()).toEqual([])
})

test('is no blob as long as it is another content', async () => {
  await using partial = await partials.resume(SHA256)
  await partial.append(Readable.from([Buffer.alloc(600_000)]), options)
  await expect(partial.store()).rejects.toThrow('another content')
  expect(await blobs.stat(SHA256)).toBeUndefined()
  await partial.restart()
  expect([partial.size, await partials.list()]).toEqual([0, []])
  await partial.append(part(0, 600_000), options)
  await partial.store()
  expect(CONTENT.equals((await blobs.read(SHA256))!)).toBe(true)
})

test('what a crash damaged is found out', async () => {
  {
    await using partial = await partials.resume(SHA256)
    await partial.append(part(0, 500_000), options)
  }
  const path = join(folder.path, '+partial', SHA256)
  await truncate(path, 400_000)
  await truncate(path, 500_000) // zeros, as a disk shows that had no time to write
  await using partial = await partials.resume(SHA256)
  await partial.append(part(500_000, 600_000), options)
  expect([partial.size, partial.isRight]).toEqual([600_000, false])
})

test('more than was announced is refused, and the empty content is one', async () => {
  {
    await using partial = await partials.resume(SHA256)
    expect(await refusalOf(partial.append(part(0, 10), { ...options, maxBytes: 9 }))).toBe('too-large')
    expect(partial.size).toBe(0)
  }
  const empty = createHash('sha256').digest('hex')
  await using partial = await partials.resume(empty)
  await partial.append(Readable.from([]), options)
  await partial.store()
  expect(await blobs.stat(empty)).toMatchObject({ size: 0 })
})

test('a digest has one receiver, and what nobody wants goes', async () => {
  const partial = await partials.resume(SHA256)
  await expect(partials.resume(SHA256)).rejects.toThrow('already')
  await partial.append(part(0, 10), options)
  await partials.remove(SHA256) // not now
  expect(await partials.list()).toEqual([SHA256])
  await partial[Symbol.asyncDispose]()
  await partials.remove(SHA256)
  await partials.remove(SHA256)
  expect(await readdir(join(folder.path, '+partial'))).toEqual([])
  await expect(partials.resume('../x')).rejects.toThrow('not a sha256')
})

test('a blob that is there already is replaced by the same', async () => {
  using _ = await blobs.putBytes(CONTENT)
  await using partial = await partials.resume(SHA256)
  await partial.append(part(0, 600_000), options)
  await partial.store()
  expect(CONTENT.equals((await blobs.read(SHA256))!)).toBe(true)
})
