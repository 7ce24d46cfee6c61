import { join } from 'node:path'
import { keys } from '#log-format/keys.js'
import { type Serial, toSerial } from '#log-format/serial.js'
import type { MetadataValue } from '#log-format/values.js'
import { Database } from '#server/storage/database.js'
import { KEY_ROWS, keyName, keyRow } from '#server/storage/rows.js'
import { SeenNames } from '#server/storage/seen-names.js'
import type { Storage } from '#server/storage/storage.js'
import type { Transaction } from '#server/storage/transaction.js'
import { verifyStore } from '#server/storage/verify.js'
import { collect, openStorage, origin, projectNames, someMutation, tempFolder } from './temp-storage.js'

/*
 * Long metadata is kept in its entry, and its row says where. Nobody who
 * reads or writes keys may notice.
 */
const key = (version: string) => keys.metadata({ user: 'alice', index: 'dev', project: 'demo', version })
const all = keys.metadata.under('alice', 'dev', 'demo')
const metadata = (text: string, bytes = 1000): MetadataValue => ({ name: 'demo', description: text.padEnd(bytes, '.') })

function change(storage: Storage, act: (tx: Transaction) => void | Promise<void>): Promise<Serial> {
  const turn = async (tx: Transaction): Promise<void> => {
    await act(tx)
    tx.record(someMutation)
  }
  return storage.transact(origin(), turn).then(({ serial }) => serial)
}

test('a value kept in its entry is read, scanned, replaced and remembered like any other', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  await change(storage, (tx) => tx.set(key('1.0'), metadata('first')))
  await change(storage, (tx) => tx.set(key('1.0'), metadata('second')))
  await change(storage, (tx) => tx.set(key('2.0'), metadata('other', 10)))
  const head = await change(storage, (tx) => tx.delete(key('1.0')))

  expect(await storage.reader(toSerial(0)).find(key('1.0'))).toEqual({ value: metadata('first'), serial: 0 })
  expect(await storage.reader(toSerial(1)).find(key('1.0'))).toEqual({ value: metadata('second'), serial: 1 })
  expect(await storage.reader(head).get(key('1.0'))).toBeUndefined()
  expect((await collect(storage.reader(toSerial(2)).scan(all))).map(({ value }) => value)).toEqual([metadata('second'), metadata('other', 10)])
  expect((await collect(storage.reader().scan(all))).map(({ value }) => value)).toEqual([metadata('other', 10)])
  expect(await collect(storage.reader().formerValues(key('1.0')))).toEqual([metadata('second'), metadata('first')])
})

test('a transaction reads values whose entries are not yet written', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  const seen: unknown[] = []
  // They wait together, so that the later ones find the earlier ones sealed only.
  await Promise.all([
    change(storage, (tx) => tx.set(key('1.0'), metadata('first'))),
    change(storage, async (tx) => {
      seen.push(await tx.get(key('1.0')), (await collect(tx.scan(all))).map(({ value }) => value))
      tx.set(key('1.0'), metadata('second'))
    }),
    change(storage, async (tx) => {
      seen.push(await tx.get(key('1.0')))
      tx.set(key('1.0'), metadata('second')) // the same value: no change
    }),
  ])
  expect(seen).toEqual([metadata('first'), [metadata('first')], metadata('second')])
  expect(storage.head.serial).toBe(1)
  expect(await change(storage, (tx) => tx.set(key('1.0'), metadata('second')))).toBe(1)
})

test.each([
  ['a long description', [metadata('long')], 'in the entry'],
  ['a short one', [metadata('', 10)], 'beside the key'],
  ['one of many in a large entry', Array.from({ length: 20 }, (_, at) => metadata(String(at))), 'beside the key'],
])('%s is kept %s', async (_, values, where) => {
  await using folder = await tempFolder()
  {
    await using storage = await openStorage(folder.path)
    await change(storage, (tx) => values.forEach((value, at) => tx.set(key(`1.${at}`), value)))
    expect(await storage.reader().get(key('1.0'))).toEqual(values[0])
  }
  await using db = await Database.open(join(folder.path, 'db'))
  const row = db.get(keyRow(keyName(key('1.0').family, key('1.0').segments)))
  expect(row?.length === 15 ? 'in the entry' : 'beside the key').toBe(where)
})

test('rows of another form are folded afresh when the store is opened', async () => {
  await using folder = await tempFolder()
  {
    await using storage = await openStorage(folder.path)
    await change(storage, (tx) => tx.set(key('1.0'), metadata('long')))
  }
  {
    await using db = await Database.open(join(folder.path, 'db'))
    await db.write([{ type: 'del', key: 'mshapes' }], { sync: true })
    await db.clear(KEY_ROWS)
  }
  {
    await using storage = await openStorage(folder.path)
    expect(await storage.reader().get(key('1.0'))).toEqual(metadata('long'))
  }
  const findings: string[] = []
  await verifyStore({ folder: folder.path, projections: [projectNames], onFinding: ({ message }) => findings.push(message) })
  expect(findings).toEqual([])
})

test('no name that was seen is taken for new, and few new ones for seen', () => {
  const seen = new SeenNames()
  const names = Array.from({ length: 50_000 }, (_, at) => `metadata\0alice\0dev\0project-${at >> 5}-1.${at & 31}`)
  const others = names.map((name) => `${name}.post1`)
  expect(names.filter((name) => seen.mayHaveHad(name)).length).toBeLessThan(50)
  expect(names.filter((name) => !seen.mayHaveHad(name))).toEqual([])
  expect(others.filter((name) => seen.mayHaveHad(name)).length).toBeLessThan(50)
})
