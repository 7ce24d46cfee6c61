import { rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Database, isNotOpen, type RowOperation } from '#server/storage/database.js'
import { fillDisk, fillDiskBelow, FULL, testOnLinux } from './full-disk.js'
import { tempFolder } from './temp-storage.js'

function put(key: string): RowOperation {
  return { type: 'put', key, value: Buffer.from(key) }
}

testOnLinux.each([true, false])('what is written after a write that failed is there after a restart (synced: %s)', async (sync) => {
  await using folder = await tempFolder()
  {
    await using db = await Database.open(folder.path)
    await db.write([put('before')], { sync: true })
    await fillDisk(db, folder.path)
    await expect(db.write([put('failed')], { sync })).rejects.toThrow()
    await db.write([put('behind')], { sync: true })
    expect(['before', 'failed', 'behind'].map((key) => db.get(key) !== undefined)).toEqual([true, false, true])
  }
  await using again = await Database.open(folder.path)
  expect(['before', 'failed', 'behind'].map((key) => again.get(key) !== undefined)).toEqual([true, false, true])
})

testOnLinux('of many writes at a time on a full disk those are there after a restart that did not fail', async () => {
  await using folder = await tempFolder()
  const written: string[] = []
  {
    await using db = await Database.open(folder.path)
    await fillDisk(db, folder.path)
    const writes = Array.from({ length: 50 }, (_, at) => db.write([put(`key${at}`)], { sync: at % 2 === 0 }).then(() => written.push(`key${at}`), () => undefined))
    await Promise.all(writes)
    await db.clear({ gte: 'key0', lt: 'key1' })
    await db.write([put('last')], { sync: true })
  }
  await using again = await Database.open(folder.path)
  expect([...written, 'last'].filter((key) => key !== 'key0' && again.get(key) === undefined)).toEqual([])
})

testOnLinux('writes go on after LevelDB had no room for its rows, and gave up writing', async () => {
  await using folder = await tempFolder()
  {
    await using db = await Database.open(folder.path)
    await db.write([put('before')], { sync: true })
    await fillDiskBelow(db, folder.path)
    await expect(db.write([put('failed')], { sync: true })).rejects.toThrow()
    await db.write([put('behind')], { sync: true })
    expect(['before', 'failed', 'behind'].map((key) => db.get(key) !== undefined)).toEqual([true, false, true])
    expect(await db.first({ gte: 'a', lt: 'z' })).toEqual(['before', Buffer.from('before')])
  }
  await using again = await Database.open(folder.path)
  expect(['before', 'failed', 'behind'].map((key) => again.get(key) !== undefined)).toEqual([true, false, true])
})

testOnLinux('reads that are under way when it is opened again end, and later ones find what is there', async () => {
  await using folder = await tempFolder()
  await using db = await Database.open(folder.path)
  const all = { gte: 'row', lt: 'rox' }
  await db.write(Array.from({ length: 5000 }, (_, at) => put(`row${at}`)), { sync: true })
  const cursor = db.cursor(all)
  const batches = db.batches(all)
  const view = db.view()
  const viewed = view.batches(all)
  await Promise.all([cursor.peek(), batches.next(), viewed.next()])
  await fillDiskBelow(db, folder.path)
  await expect(db.write([put('failed')], { sync: true })).rejects.toThrow()
  await db.write([put('row')], { sync: true })
  const rest = async (rows: AsyncIterable<unknown>): Promise<void> => { for await (const _ of rows); }
  const walk = async (): Promise<void> => { while ((await cursor.peek()) !== undefined) cursor.advance() }
  for (const read of [walk(), rest(batches), rest(viewed), view.get('row1')]) {
    const error: unknown = await read.catch((reason: unknown) => reason)
    expect(isNotOpen(error) ? 'not open' : error).toBe('not open')
  }
  await Promise.all([cursor.close(), view[Symbol.asyncDispose]()])
  let count = 0
  for await (const rows of db.batches(all)) count += rows.length
  expect(count).toBe(5001)
})

testOnLinux('once it is closed nothing opens it again, whatever failed before', async () => {
  await using folder = await tempFolder()
  const db = await Database.open(folder.path)
  await db.write([put('before')], { sync: true })
  await fillDiskBelow(db, folder.path)
  await expect(db.write([put('failed')], { sync: true })).rejects.toThrow()
  await db.close()
  await expect(db.write([put('late')], { sync: false })).rejects.toThrow()
  await (await Database.open(folder.path)).close()
})

testOnLinux('a close waits for it to be opened again', async () => {
  await using folder = await tempFolder()
  const db = await Database.open(folder.path)
  await db.write([put('before')], { sync: true })
  await fillDiskBelow(db, folder.path)
  await expect(db.write([put('failed')], { sync: true })).rejects.toThrow()
  const mended = db.mended().catch(() => undefined)
  await db.flush()
  await db.close()
  await mended
  await (await Database.open(folder.path)).close()
})

testOnLinux('an open without room says so, and goes on when there is some', async () => {
  await using folder = await tempFolder()
  const manifest = join(folder.path, 'MANIFEST-000001') // the first file that an open writes
  await symlink(FULL, manifest)
  await expect(Database.open(folder.path)).rejects.toMatchObject({ kind: 'storage-full', message: expect.stringContaining('the disk is full') })
  await rm(manifest, { force: true }) // LevelDB may have taken it away
  await (await Database.open(folder.path)).close()
})

test('an open that cannot read what is there says which file', async () => {
  await using folder = await tempFolder()
  await (await Database.open(folder.path)).close()
  await writeFile(join(folder.path, 'CURRENT'), 'nothing\n')
  await expect(Database.open(folder.path)).rejects.toMatchObject({ kind: 'conflict', message: expect.stringMatching(/cannot be opened: .*nothing/) })
})
