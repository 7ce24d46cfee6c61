import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ChainError } from '#log-format/errors.js'
import { decodeEntry, encodeEntry } from '#log-format/codec.js'
import { digestHex, entryDigest } from '#log-format/chain.js'
import { FrameReader } from '#log-format/framing.js'
import { nextSerial, type Serial, toSerial } from '#log-format/serial.js'
import { PRIMARY_UUID_FACT } from '#server/storage/rows.js'
import { entryLine, setEntriesAside } from '#server/storage/set-aside.js'
import type { Storage } from '#server/storage/storage.js'
import { allRows, collect, openStorage, origin, refusalOf, setProject, someMutation, tempFolder } from './temp-storage.js'

const FORMER = 'ef'.repeat(16)

async function framesOf(storage: Storage, from: Serial = toSerial(0)): Promise<{ bytes: Uint8Array; digest: Uint8Array }[]> {
  const entries = (await collect(storage.entries.read(from))).flat()
  return entries.map(({ bytes }) => ({ bytes, digest: entryDigest(decodeEntry(bytes).parent, bytes) }))
}

/** A store that imported three entries, and the store that made them. */
async function followed(folder: string): Promise<void> {
  await using made = await openStorage(join(folder, 'made'))
  for (const created of [1, 2, 3]) await setProject(made, 'demo', created)
  await using store = await openStorage(join(folder, 'store'), { source: 'import' })
  await store.importEntries(await framesOf(made))
}

test('a store that imports makes entries after its promotion, in an epoch of its own', async () => {
  await using folder = await tempFolder()
  await followed(folder.path)
  {
    await using store = await openStorage(join(folder.path, 'store'), { source: 'import' })
    expect(await refusalOf(setProject(store, 'demo', 4))).toBe('not-available')
    const head = await store.promote(origin(5), { former: FORMER, facts: { role: 'primary' } })
    expect(head).toMatchObject({ serial: 3, epoch: 1, time: 1000 })
    expect((await setProject(store, 'demo', 4)).serial).toBe(4)
    await expect(store.importEntries([])).rejects.toThrow('entries are imported')
    expect(await refusalOf(store.promote(origin(), { former: '', facts: {} }))).toBe('conflict')
    const [promotion, next] = (await framesOf(store, toSerial(3))).map(({ bytes }) => decodeEntry(bytes))
    expect(promotion).toMatchObject({ epoch: 1, mutation: { kind: 'primary-promoted', node: store.nodeId, former: FORMER }, changes: [] })
    expect(next).toMatchObject({ epoch: 1, mutation: someMutation })
    expect([store.fact('role'), store.fact(PRIMARY_UUID_FACT), store.writeCounts.entries]).toEqual(['primary', store.nodeId, 2])
  }
  // Whoever imports its entries knows who made them.
  await using store = await openStorage(join(folder.path, 'store'))
  await using other = await openStorage(join(folder.path, 'other'), { source: 'import' })
  await other.importEntries(await framesOf(store))
  expect([other.head, other.fact(PRIMARY_UUID_FACT), other.fact('role')]).toEqual([store.head, store.nodeId, undefined])
})

test('an entry of an earlier epoch than the one before it is not taken over', async () => {
  await using folder = await tempFolder()
  await followed(folder.path)
  await using store = await openStorage(join(folder.path, 'store'), { source: 'import' })
  await store.promote(origin(), { former: FORMER, facts: {} })
  await using other = await openStorage(join(folder.path, 'other'), { source: 'import' })
  await other.importEntries(await framesOf(store))
  const { serial, digest, time } = other.head
  const bytes = encodeEntry({ ...origin(time), serial: nextSerial(serial), parent: digest, epoch: 0, mutation: someMutation, changes: [] })
  await expect(other.importEntries([{ bytes, digest: entryDigest(digest, bytes) }])).rejects.toThrow(ChainError)
  expect(other.head.serial).toBe(serial)
})

test('a fence refuses all changes, and is still there after it was closed', async () => {
  await using folder = await tempFolder()
  {
    await using store = await openStorage(folder.path)
    await setProject(store, 'demo', 1)
    await store.setFence({ epoch: 4, node: FORMER, url: 'http://new.example' })
    expect(await refusalOf(setProject(store, 'demo', 2))).toBe('not-available')
  }
  await using store = await openStorage(folder.path)
  expect(store.fence).toEqual({ epoch: 4, node: FORMER, url: 'http://new.example' })
  await expect(setProject(store, 'demo', 2)).rejects.toThrow('http://new.example was promoted in its place (epoch 4)')
})

test('what is behind a serial is put aside and taken away, as if it had never been', async () => {
  await using folder = await tempFolder()
  await followed(folder.path)
  const path = join(folder.path, 'store')
  const serverDir = join(folder.path, 'aside')
  await mkdir(serverDir)
  {
    await using made = await openStorage(join(folder.path, 'made'))
    const store = await openStorage(path, { source: 'import' })
    for (const created of [4, undefined, 6]) await setProject(made, 'demo', created)
    await store.importEntries(await framesOf(made, toSerial(3)))
    await store.notes.set('of a later serial', 1)
    await store.moveCursor('somebody', toSerial(5))
    const lines: string[] = []
    const aside = await setEntriesAside({ serverDir, entries: store.entries, common: toSerial(2), onEntry: (entry) => void lines.push(`${entryLine(entry)}\n`) })
    const name = `0-3-5-${digestHex(store.head.digest).slice(0, 8)}`
    expect(aside).toEqual({ file: `${name}.log`, from: 3, to: 5 })
    expect(await readFile(join(serverDir, `set-aside/${name}.txt`), 'utf8')).toBe(lines.join(''))
    const kept = new FrameReader().push(await readFile(join(serverDir, `set-aside/${name}.log`)))
    expect(kept.map(({ bytes }) => Buffer.from(bytes))).toEqual((await framesOf(made, toSerial(3))).map(({ bytes }) => Buffer.from(bytes)))
    await store.cutBack(toSerial(2), { role: 'replica' })
    await store[Symbol.asyncDispose]()
  }
  {
    await using store = await openStorage(path, { source: 'import' })
    expect([store.head.serial, store.fact('role'), store.notes.get('of a later serial'), store.cursor('somebody')]).toEqual([2, 'replica', undefined, 2])
  }
  await using fresh = await tempFolder()
  await followed(fresh.path)
  expect(await allRows(path, 'ekop')).toEqual(await allRows(join(fresh.path, 'store'), 'ekop'))
})
