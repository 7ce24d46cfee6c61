import type { MirrorIndexValue } from '#log-format/values.js'
import { MirrorNotes } from '#server/stages/mirror-notes.js'
import { allRows, openStorage, tempFolder } from '../storage/temp-storage.js'

const VALUE: MirrorIndexValue = { type: 'mirror', created: 1, volatile: true, mirror_url: 'https://upstream.example/simple/' }
const MIRROR = { user: 'alice', index: 'up', value: VALUE }
const NOTE = { checked: 5, has: true, etag: '"a"' }

test('what is known of a project outlives the process, and is of that very upstream', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  await new MirrorNotes(storage).set(MIRROR, 'demo', 0, NOTE)
  const later = new MirrorNotes(storage)
  expect(later.get(MIRROR, 'demo', 0)).toEqual(NOTE)
  expect(later.get({ ...MIRROR, value: { ...VALUE, mirror_url: 'https://other.example/' } }, 'demo', 0)).toBeUndefined()
  expect(later.get({ ...MIRROR, value: { ...VALUE, created: 2 } }, 'demo', 0)).toBeUndefined()
  await later.forget(MIRROR, 'demo', 0)
  expect(new MirrorNotes(storage).get(MIRROR, 'demo', 0)).toBeUndefined()
})

test('names that no upstream has leave nothing on the disk, whatever is asked of them', async () => {
  await using folder = await tempFolder()
  const storage = await openStorage(folder.path)
  const notes = new MirrorNotes(storage)
  for (let at = 0; at < 20; at += 1) {
    await notes.set(MIRROR, `none-${at}`, 0, { checked: 5, has: false })
    await notes.forget(MIRROR, `none-${at}`, 0)
    await notes.forget(MIRROR, `other-${at}`, 0)
  }
  await storage[Symbol.asyncDispose]()
  expect(await allRows(folder.path, 'n')).toEqual([])
})
