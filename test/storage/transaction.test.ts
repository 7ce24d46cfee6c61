import { Refusal } from '#log-format/api/refusal.js'
import { decodeEntry, MAX_ENTRY_BYTES } from '#log-format/codec.js'
import { keys } from '#log-format/keys.js'
import { toSerial } from '#log-format/serial.js'
import type { Transaction } from '#server/storage/transaction.js'
import { collect, openStorage, origin, project, projectKey, refusalOf, setProject, someMutation, tempFolder } from './temp-storage.js'

const projects = keys.project.under('alice', 'dev')

async function namesIn(tx: Transaction): Promise<string[]> {
  return (await collect(tx.scan(projects))).map(({ segments, value }) => `${segments[2]}=${value.created}`)
}

async function headNames(storage: Awaited<ReturnType<typeof openStorage>>): Promise<string[]> {
  return (await collect(storage.reader().scan(projects))).map(({ segments, value }) => `${segments[2]}=${value.created}`)
}

test('a scan that finds nothing hides neither what is set afterwards nor what stood elsewhere', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  await setProject(storage, 'kept', 1)
  await storage.transact(origin(), async (tx) => {
    expect(await collect(tx.scan(keys.project.under('alice', 'empty')))).toEqual([])
    tx.set(projectKey('first', 'empty'), project(2))
    expect(await tx.get(projectKey('first', 'empty'))).toEqual(project(2))
    expect(await tx.get(projectKey('kept'))).toEqual(project(1))
    tx.set(projectKey('kept'), project(3))
    tx.record(someMutation)
  })
  // The first one is there now, though not in the database yet, when the next turn looks.
  const writing = storage.transact(origin(), (tx) => {
    tx.set(projectKey('second', 'empty'), project(4))
    tx.record(someMutation)
    return Promise.resolve()
  })
  const { result } = await storage.transact(origin(), async (tx) => {
    const found = await collect(tx.scan(keys.project.under('alice', 'empty')))
    tx.set(projectKey('second', 'empty'), project(5))
    tx.record(someMutation)
    return found.map(({ segments }) => segments[2])
  })
  await writing
  expect(result).toEqual(['first', 'second'])
  expect(await collect(storage.reader().formerValues(projectKey('second', 'empty')))).toEqual([project(4)])
  expect(await collect(storage.reader().formerValues(projectKey('kept')))).toEqual([project(1)])
})

test('a transaction reads its own writes, by key and in scans', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  await setProject(storage, 'a', 1)
  await setProject(storage, 'c', 3)
  await storage.transact(origin(), async (tx) => {
    expect(await tx.existed(projectKey('b'))).toBe(false)
    tx.set(projectKey('b'), project(2))
    tx.set(projectKey('c'), project(4))
    tx.delete(projectKey('a'))
    expect(await tx.get(projectKey('a'))).toBeUndefined()
    expect(await tx.existed(projectKey('a'))).toBe(true)
    expect(await tx.existed(projectKey('b'))).toBe(true)
    expect(await tx.get(projectKey('c'))).toEqual(project(4))
    expect(await namesIn(tx)).toEqual(['b=2', 'c=4'])
    tx.delete(projectKey('b'))
    tx.set(projectKey('a'), project(1))
    expect(await namesIn(tx)).toEqual(['a=1', 'c=4'])
    tx.record(someMutation)
  })
  expect(await headNames(storage)).toEqual(['a=1', 'c=4'])
  const [entries] = await collect(storage.entries.read(toSerial(2)))
  expect(decodeEntry(entries![0]!.bytes).changes.map(({ path }) => path)).toEqual(['alice/dev/c/.config'])
})

test('a transaction sees what is sealed and not yet written', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  const turns = Array.from({ length: 20 }, (_, number) =>
    storage.transact(origin(), async (tx) => {
      tx.set(projectKey(`p${String(number).padStart(2, '0')}`), project(number))
      tx.delete(projectKey(`p${String(number - 2).padStart(2, '0')}`))
      tx.record(someMutation)
      expect((await namesIn(tx)).length).toBe(Math.min(number + 1, 2))
      expect(await tx.existed(projectKey('p00'))).toBe(true)
    }),
  )
  const serials = (await Promise.all(turns)).map(({ serial }) => serial)
  expect(serials).toEqual(Array.from({ length: 20 }, (_, at) => at))
  expect(await headNames(storage)).toEqual(['p18=18', 'p19=19'])
  await storage.transact(origin(), async (tx) => {
    expect(await tx.existed(projectKey('p00'))).toBe(true)
    expect(await tx.existed(projectKey('p99'))).toBe(false)
  })
})

test.each<[string, (tx: Transaction) => void]>([
  ['nothing', () => undefined],
  ['a mutation without changes', () => undefined],
  ['setting an equal value', (tx) => tx.set(projectKey('a'), project(1))],
  ['deleting an absent key', (tx) => tx.delete(projectKey('absent'))],
  ['setting and deleting a new key', (tx) => { tx.set(projectKey('new'), project(1)); tx.delete(projectKey('new')) }],
  ['changing a value and back', (tx) => { tx.set(projectKey('a'), project(2)); tx.set(projectKey('a'), project(1)) }],
  ['deleting a key and setting it back', (tx) => { tx.delete(projectKey('a')); tx.set(projectKey('a'), project(1)) }],
  ['setting an equal secret', (tx) => tx.secrets.set('user\0alice', { hash: 'x' })],
  ['deleting an absent secret', (tx) => tx.secrets.delete('user\0bob')],
  ['setting and deleting a new secret', (tx) => { tx.secrets.set('user\0bob', 1); tx.secrets.delete('user\0bob') }],
])('%s leaves no entry', async (_, act) => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  await storage.transact(origin(), (tx) => {
    tx.set(projectKey('a'), project(1))
    tx.secrets.set('user\0alice', { hash: 'x' })
    tx.record(someMutation)
    return Promise.resolve()
  })
  const outcome = await storage.transact(origin(), (tx) => {
    act(tx)
    tx.record(someMutation)
    return Promise.resolve('done')
  })
  expect(outcome).toEqual({ result: 'done', serial: 0, changed: false })
  expect(storage.head.serial).toBe(0)
})

test.each([
  ['a refusal', new Refusal('conflict', 'no'), 'no'],
  ['a fault', new TypeError('broken'), 'broken'],
])('%s leaves nothing', async (_, error, message) => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  const failed = storage.transact(origin(), (tx) => {
    tx.set(projectKey('a'), project(1))
    tx.secrets.set('user\0alice', 'hash')
    tx.record(someMutation)
    return Promise.reject(error)
  })
  await expect(failed).rejects.toThrow(message)
  expect(storage.head.serial).toBe(-1)
  expect(storage.vault.get('user\0alice')).toBeUndefined()
  await storage.transact(origin(), async (tx) => expect(await namesIn(tx)).toEqual([]))
})

test('changes without a mutation, and two mutations, are faults', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  const silent = storage.transact(origin(), (tx) => {
    tx.set(projectKey('a'), project(1))
    return Promise.resolve()
  })
  await expect(silent).rejects.toThrow('recorded no mutation')
  const twice = storage.transact(origin(), (tx) => {
    tx.record(someMutation)
    tx.record(someMutation)
    return Promise.resolve()
  })
  await expect(twice).rejects.toThrow('one mutation')
  expect(storage.head.serial).toBe(-1)
})

test.each([
  ['NaN', NaN],
  ['Infinity', Infinity],
  ['half a surrogate pair', '\ud800'],
])('a value that the log cannot hold is a fault: %s', async (_, created) => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  const turn = storage.transact(origin(), (tx) => {
    tx.set(keys.user({ user: 'alice' }), { created: 1, title: created })
    tx.record(someMutation)
    return Promise.resolve()
  })
  await expect(turn).rejects.toThrow()
  expect(await setProject(storage, 'a', 1)).toMatchObject({ serial: 0 })
})

test.each([
  ['succeeds', () => Promise.resolve()],
  ['throws', () => Promise.reject(new Refusal('conflict', 'no'))],
])('a transaction is dead after a turn that %s', async (_, end) => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  await setProject(storage, 'a', 1)
  await setProject(storage, 'b', 1)
  let leaked: Transaction | undefined
  let scan: AsyncIterator<unknown> | undefined
  await refusalOf(
    storage.transact(origin(), async (tx) => {
      leaked = tx
      scan = tx.scan(projects)[Symbol.asyncIterator]()
      await scan.next()
      await end()
    }),
  )
  const tx = leaked!
  const over = 'the transaction is over'
  await expect(async () => tx.get(projectKey('a'))).rejects.toThrow(over)
  await expect(tx.existed(projectKey('a'))).rejects.toThrow(over)
  await expect(collect(tx.scan(projects))).rejects.toThrow(over)
  await expect(scan!.next()).rejects.toThrow(over)
  expect(() => tx.set(projectKey('a'), project(2))).toThrow(over)
  expect(() => tx.delete(projectKey('a'))).toThrow(over)
  expect(() => tx.record(someMutation)).toThrow(over)
  expect(() => tx.secrets.get('user\0alice')).toThrow(over)
  expect(() => tx.secrets.set('user\0alice', 1)).toThrow(over)
  expect(() => tx.secrets.delete('user\0alice')).toThrow(over)
})

test('the time of the log never runs backwards', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  await setProject(storage, 'a', 1, 5000)
  const { result } = await storage.transact(origin(3000), (tx) => {
    tx.set(projectKey('b'), project(1))
    tx.record(someMutation)
    return Promise.resolve(tx.time)
  })
  expect(result).toBe(5000)
  expect(storage.head.time).toBe(5000)
})

test('more than an entry holds is refused while it is put together, and what is set again counts once', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  const large = { name: 'x'.repeat(MAX_ENTRY_BYTES / 2), created: 1 }
  let sets = 0
  const refused = await refusalOf(
    storage.transact(origin(), (tx) => {
      for (const name of ['a', 'a', 'a', 'b', 'c']) {
        tx.set(projectKey(name), { ...large, created: (sets += 1) })
      }
      return Promise.resolve()
    }),
  )
  expect([refused, sets]).toEqual(['too-large', 4])
  expect(storage.head.serial).toBe(-1)
})
