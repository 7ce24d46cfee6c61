import fc from 'fast-check'
import { keys } from '#log-format/keys.js'
import { NO_SERIAL, toSerial } from '#log-format/serial.js'
import type { Reader } from '#server/storage/reader.js'
import { compareNames } from '#server/storage/name-order.js'
import { collect, openStorage, origin, project, projectKey, setProject, someMutation, tempFolder } from './temp-storage.js'

// Names whose UTF-16 order is not that of their bytes, and names that start with one another.
const NAMES = ['a', 'a!', 'a-b', 'b', 'é', '\uffee', '\u{1f600}'] as const
type Model = ReadonlyMap<string, { readonly created: number; readonly serial: number }>

const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))

async function expectReader(reader: Reader, model: Model, ever: ReadonlySet<string>): Promise<void> {
  for (const name of NAMES) {
    const want = model.get(name)
    const stored = want && { value: project(want.created), serial: want.serial }
    expect(await reader.find(projectKey(name))).toEqual(stored)
    expect(await reader.get(projectKey(name))).toEqual(stored?.value)
    expect(await reader.existed(projectKey(name))).toBe(ever.has(name))
  }
  const scanned = await collect(reader.scan(keys.project.under('alice', 'dev')))
  const wanted = [...model].sort(([a], [b]) => byBytes(a, b))
  expect(scanned).toEqual(
    wanted.map(([name, { created, serial }]) => ({ segments: ['alice', 'dev', name], value: project(created), serial })),
  )
}

const step = fc.record({
  name: fc.constantFrom(...NAMES),
  created: fc.option(fc.nat(3), { nil: undefined }),
  repeat: fc.constantFrom(1, 1, 1, 1, 12), // a long history of one key makes the cursors jump
})

test('every read at every serial equals a naive model, also while commits go on', async () => {
  const property = fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
    await using folder = await tempFolder()
    await using storage = await openStorage(folder.path)
    const models: Model[] = []
    const ever: ReadonlySet<string>[] = []
    const readings: Promise<void>[] = [expectReader(storage.reader(), new Map(), new Set())]
    for (const { name, created, repeat } of steps) {
      for (let turn = 0; turn < repeat; turn += 1) {
        const value = created === undefined ? undefined : created + turn
        const { serial, changed } = await setProject(storage, name, value)
        if (!changed) continue
        const model = new Map(models.at(-1))
        if (value === undefined) model.delete(name)
        else model.set(name, { created: value, serial })
        models.push(model)
        ever.push(new Set([...(ever.at(-1) ?? []), name]))
        readings.push(expectReader(storage.reader(), model, ever.at(-1)!)) // goes on beside the next commits
      }
    }
    await Promise.all(readings)
    expect(storage.head.serial).toBe(models.length - 1)
    for (const [serial, model] of models.entries()) {
      await expectReader(storage.reader(toSerial(serial)), model, ever[serial]!)
    }
    await expectReader(storage.reader(NO_SERIAL), new Map(), new Set())
  })
  await fc.assert(property, { numRuns: 15 })
})

test('a scan that began before a commit shows nothing of it', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  await storage.transact(origin(), (tx) => {
    for (let number = 0; number < 1500; number += 1) tx.set(projectKey(`p${String(number).padStart(4, '0')}`), project(0))
    tx.record(someMutation)
    return Promise.resolve()
  })
  const seen: number[] = []
  for await (const { value } of storage.reader().scan(keys.project.under('alice', 'dev'))) {
    if (seen.length === 0) await setProject(storage, 'p1400', 9)
    if (seen.length === 1) await setProject(storage, 'p1300', undefined)
    seen.push(value.created)
  }
  expect(seen).toEqual(Array.from({ length: 1500 }, () => 0))
})

test('a range that names a whole key is empty at every serial', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  await setProject(storage, 'demo', 1)
  await setProject(storage, 'demo', 2)
  for (const serial of [0, 1]) {
    expect(await collect(storage.reader(toSerial(serial)).scan(keys.project.under('alice', 'dev', 'demo')))).toEqual([])
  }
})

test('names are in the order of their bytes', () => {
  const text = fc.string({ unit: 'binary' })
  fc.assert(fc.property(text, text, (a, b) => Math.sign(compareNames(a, b)) === Math.sign(byBytes(a, b))))
})
