import { ALL_PROJECTIONS } from '#server/projections/all.js'
import { BlobBacklog, type MissingBlob } from '#server/replication/blob-backlog.js'
import { collect, openStorage, tempFolder } from '../storage/temp-storage.js'

function missing(at: number, failures = 1): MissingBlob {
  const sha256 = at.toString(16).padStart(64, '0')
  return { sha256, size: at, path: `alice/dev/+f/000/${at}/demo.whl`, failures, due: 1000 + at, message: 'lost' }
}

test('holds more than it shows, in order, over restarts', async () => {
  await using folder = await tempFolder()
  const count = 1205
  {
    await using storage = await openStorage(folder.path, { projections: ALL_PROJECTIONS })
    const backlog = await BlobBacklog.open(storage)
    for (let at = count - 1; at >= 0; at -= 1) await backlog.add(missing(at))
    expect([backlog.count, [...backlog.shown].length]).toEqual([count, 1000])
    await backlog.add(missing(3, 7)) // of those that are not shown
    await backlog.add(missing(1100, 8))
    expect([backlog.count, backlog.failuresOf(missing(3).sha256), backlog.failuresOf(missing(1100).sha256), backlog.failuresOf(missing(5000).sha256)]).toEqual([count, 7, 8, 0])
    await Promise.all([backlog.clear(missing(4).sha256), backlog.clear(missing(4).sha256), backlog.clear(missing(5000).sha256)])
    expect(backlog.count).toBe(count - 1)
  }
  await using storage = await openStorage(folder.path, { projections: ALL_PROJECTIONS })
  const backlog = await BlobBacklog.open(storage)
  expect([backlog.count, [...backlog.shown].length]).toEqual([count - 1, 1000])
  const all = await collect(backlog.all())
  expect(all.map(({ size }) => size)).toEqual(Array.from({ length: count }, (_, at) => at).filter((at) => at !== 4))
  expect(all[3]).toEqual(missing(3, 7))
  for (const { sha256 } of all) await backlog.clear(sha256)
  expect([backlog.count, [...backlog.shown]]).toEqual([0, []])
})

test('passes over what is no row of its own', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path, { projections: ALL_PROJECTIONS })
  await storage.notes.set('missing-blob\0x', { sha256: 'x' })
  await storage.notes.set('missing-blob\0y', 7)
  const backlog = await BlobBacklog.open(storage)
  expect([backlog.count, await collect(backlog.all())]).toEqual([0, []])
})
