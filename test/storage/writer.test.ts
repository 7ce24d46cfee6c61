import { Refusal } from '#log-format/api/refusal.js'
import { EMPTY_CHAIN, type ChainHead } from '#log-format/chain.js'
import { toSerial } from '#log-format/serial.js'
import { Changelog } from '#server/storage/changelog.js'
import { Database } from '#server/storage/database.js'
import type { Append, EntryStore, StoredEntry } from '#server/storage/entry-store.js'
import { openVault } from '#server/storage/vault.js'
import { Writer } from '#server/storage/writer.js'
import { failAfterWriting, fillDisk, fillDiskBelow, testOnLinux } from './full-disk.js'
import { openStorage, origin, project, projectKey, refusalOf, setProject, someMutation, tempFolder } from './temp-storage.js'

/** An entry store that finishes an append only when told how. */
class HeldStore implements EntryStore {
  head: ChainHead = EMPTY_CHAIN
  readonly appends: Append[] = []
  readonly #ends: ((error?: Error) => void)[] = []

  async append(append: Append): Promise<void> {
    this.appends.push(append)
    await new Promise<void>((resolve, reject) => this.#ends.push((error) => (error === undefined ? resolve() : reject(error))))
    this.head = append.head
  }

  refresh(): Promise<boolean> {
    return Promise.resolve(false)
  }

  end(error?: Error): void {
    this.#ends.shift()?.(error)
  }

  async *read(): AsyncGenerator<readonly StoredEntry[]> {
    throw new Error('not read here')
  }
}

async function heldWriter(folder: string) {
  const db = await Database.open(folder)
  const entries = new HeldStore()
  return { db, entries, ...writerOf(db, entries) }
}

async function loggingWriter(db: Database) {
  return writerOf(db, await Changelog.open(db))
}

function writerOf(db: Database, entries: EntryStore) {
  const committed: number[] = []
  const writer = new Writer({
    db,
    entries,
    vault: openVault(db),
    projections: [],
    onStart: () => undefined,
    onCommit: (list) => committed.push(...list.map(({ serial }) => serial)),
    ensureRoom: () => Promise.resolve(),
  })
  const write = (name: string) =>
    writer.transact(origin(), (tx) => {
      tx.set(projectKey(name), project(1))
      tx.record(someMutation)
      return Promise.resolve(name)
    })
  return { committed, writer, write }
}

const turnOfTheLoop = () => new Promise((resolve) => setImmediate(resolve))

test('what waits together shares a batch, and nobody is answered before its sync', async () => {
  await using folder = await tempFolder()
  const { db, entries, committed, writer, write } = await heldWriter(folder.path)
  const answered: string[] = []
  const note = (name: string) => write(name).then(({ result, serial }) => answered.push(`${result}@${serial}`))
  const all = [note('a'), note('b'), note('c')]
  const refused = refusalOf(writer.transact(origin(), () => Promise.reject(new Refusal('conflict', 'no')))).then((kind) =>
    answered.push(`${kind}`),
  )
  const read = writer.transact(origin(), (tx) => tx.get(projectKey('c'))).then(({ serial }) => answered.push(`read@${serial}`))
  await turnOfTheLoop()
  expect(entries.appends.map((append) => append.entries.length)).toEqual([1])
  expect(answered).toEqual([])

  entries.end()
  await all[0]
  await turnOfTheLoop()
  expect(answered).toEqual(['a@0'])
  expect(entries.appends.map((append) => append.entries.map(({ serial }) => serial))).toEqual([[0], [1, 2]])
  expect(entries.appends.map(({ expected }) => expected)).toEqual([-1, 0])
  expect(committed).toEqual([0])

  entries.end()
  await Promise.all([...all, refused, read])
  expect(answered.sort()).toEqual(['a@0', 'b@1', 'c@2', 'conflict', 'read@2'])
  expect(writer.counts).toMatchObject({ batches: 2, entries: 3 })
  await writer.idle()
  await db.close()
})

test('a write that fails refuses whoever waits, and who comes later goes on from what is on the disk', async () => {
  await using folder = await tempFolder()
  const { db, entries, committed, writer, write } = await heldWriter(folder.path)
  const waiting = [write('a'), write('b'), writer.transact(origin(), (tx) => tx.get(projectKey('a')))].map(refusalOf)
  let finishTurn = () => undefined as unknown
  const slowTurn = writer.transact(origin(), async (tx) => {
    const seen = await tx.get(projectKey('a')) // sealed, and about to be lost
    await new Promise<void>((resolve) => (finishTurn = resolve))
    return seen
  })
  const slow = refusalOf(slowTurn)
  await turnOfTheLoop()
  entries.end(new Error('input/output error'))
  await turnOfTheLoop()
  finishTurn()
  expect(await Promise.all([...waiting, slow])).toEqual(Array.from({ length: 4 }, () => 'not-available'))
  expect([writer.isBroken, entries.appends.length]).toEqual([true, 1])
  expect(committed).toEqual([])

  const later = Promise.all([write('later'), writer.transact(origin(), (tx) => tx.get(projectKey('a')))])
  await turnOfTheLoop()
  expect(writer.isBroken).toBe(false)
  entries.end()
  const [changed, read] = await later
  expect([changed.serial, read.serial, read.result]).toEqual([0, 0, undefined])
  expect(committed).toEqual([0])
  await writer.idle()
  await db.close()
})

test('parallel transactions get dense serials in few batches', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  const commits: number[] = []
  const listening = storage.onCommit((entries) => commits.push(...entries.map(({ serial }) => serial)))
  const done = await Promise.all(Array.from({ length: 100 }, (_, number) => setProject(storage, `p${number}`, number)))
  const dense = Array.from({ length: 100 }, (_, at) => at)
  expect(done.map(({ serial }) => serial)).toEqual(dense)
  expect(commits).toEqual(dense)
  listening[Symbol.dispose]()
  await setProject(storage, 'unheard', 1)
  expect(commits).toEqual(dense)
  expect(storage.writeCounts.entries).toBe(101)
  expect(storage.writeCounts.batches).toBeLessThan(20)
})

test('reads go on while the log cannot be written', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  await setProject(storage, 'a', 1)
  await setProject(storage, 'a', 2)
  storage.entries.append = () => Promise.reject(new Error('input/output error'))
  expect(await refusalOf(setProject(storage, 'a', 3))).toBe('not-available')
  expect(storage.head.serial).toBe(1)
  expect(await storage.reader().get(projectKey('a'))).toEqual(project(2))
  expect(await storage.reader(toSerial(0)).get(projectKey('a'))).toEqual(project(1))
})

test('what was sealed while a write was failing is not written behind it', async () => {
  await using folder = await tempFolder()
  const { db, entries, writer, write } = await heldWriter(folder.path)
  const first = refusalOf(write('a'))
  await turnOfTheLoop()
  const second = refusalOf(write('b')) // sealed on top of the first one
  await turnOfTheLoop()
  entries.end(new Error('input/output error'))
  await turnOfTheLoop()
  const third = write('c')
  expect([await first, await second]).toEqual(['not-available', 'not-available'])
  await turnOfTheLoop()
  entries.end()
  expect((await third).serial).toBe(0)
  expect(entries.appends.map(({ expected, entries: [entry] }) => [expected, entry?.serial])).toEqual([[-1, 0], [-1, 0]])
  await writer.idle()
  await db.close()
})

test('what is stored although its write failed is the head before anything else is changed', async () => {
  await using folder = await tempFolder()
  await using db = await Database.open(folder.path)
  const { committed, writer, write } = await loggingWriter(db)
  await write('a')
  failAfterWriting(db)
  expect(await Promise.all(['b', 'c'].map((name) => refusalOf(write(name))))).toEqual(['not-available', 'not-available'])
  expect((await write('d')).serial).toBe(2)
  expect([committed, writer.isBroken, writer.counts.entries]).toEqual([[0, 1, 2], false, 3])
  const { result } = await writer.transact(origin(), (tx) => Promise.all(['a', 'b', 'c', 'd'].map((name) => tx.get(projectKey(name)))))
  expect(result.map((found) => found !== undefined)).toEqual([true, true, false, true]) // that of c was never tried
})

test('it can go on without a transaction that needs it', async () => {
  await using folder = await tempFolder()
  await using db = await Database.open(folder.path)
  const { committed, writer, write } = await loggingWriter(db)
  failAfterWriting(db)
  expect(await refusalOf(write('a'))).toBe('not-available')
  expect([writer.isBroken, committed]).toEqual([true, []])
  await writer.recover()
  expect([writer.isBroken, committed]).toEqual([false, [0]])
})

testOnLinux.each([
  ['ahead', fillDisk],
  ['rows out', fillDiskBelow],
])('changes go on after there was no room to write %s, and all that were said to be made are there after a restart', async (_, fill) => {
  await using folder = await tempFolder()
  {
    await using db = await Database.open(folder.path)
    const { writer, write } = await loggingWriter(db)
    await write('a')
    await fill(db, folder.path)
    expect(await Promise.all(['b', 'c', 'd'].map((name) => refusalOf(write(name))))).toEqual(['not-available', 'not-available', 'not-available'])
    expect((await write('e')).serial).toBe(1)
    expect(writer.isBroken).toBe(false)
  }
  await using db = await Database.open(folder.path)
  const { writer } = await loggingWriter(db)
  const { result, serial } = await writer.transact(origin(), (tx) => Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => tx.get(projectKey(name)))))
  expect([serial, ...result.map((found) => found !== undefined)]).toEqual([1, true, false, false, false, true])
})

test('a full disk refuses changes until there is room', async () => {
  await using folder = await tempFolder()
  let free = 0
  await using storage = await openStorage(folder.path, { freeBytes: () => Promise.resolve(free) })
  expect(await refusalOf(setProject(storage, 'a', 1))).toBe('storage-full')
  expect(storage.head.serial).toBe(-1)
  free = Infinity
  expect(await setProject(storage, 'a', 1)).toMatchObject({ serial: 0, changed: true })
})

test('after the end a transaction is refused, and those before it are settled', async () => {
  await using folder = await tempFolder()
  const storage = await openStorage(folder.path)
  const running = setProject(storage, 'a', 1)
  const ended = storage[Symbol.asyncDispose]()
  expect(await refusalOf(setProject(storage, 'b', 1))).toBe('not-available')
  expect(await running).toMatchObject({ serial: 0 })
  await ended
})
