import fc from 'fast-check'
import { digestHex } from '#log-format/chain.js'
import { Database } from '#server/storage/database.js'
import type { Projection } from '#server/storage/projection.js'
import { metaRow, projectionRow } from '#server/storage/rows.js'
import { allRows, collect, openStorage, projectNames, refusalOf, setProject, tempFolder } from './temp-storage.js'

const changes = fc.array(
  fc.record({
    name: fc.constantFrom('a', 'b', 'c', '\u{1f600}'),
    created: fc.option(fc.nat(3), { nil: undefined }),
    time: fc.nat(5000),
  }),
  { minLength: 1, maxLength: 30 },
)

async function dropShapes(folder: string): Promise<void> {
  const db = await Database.open(`${folder}/db`)
  await db.write([{ type: 'del', key: metaRow('shapes') }], { sync: true })
  await db.close()
}

test('folding from serial 0 gives byte-identical rows', async () => {
  const property = fc.asyncProperty(changes, async (list) => {
    await using folder = await tempFolder()
    {
      await using storage = await openStorage(folder.path)
      await Promise.all(list.map(({ name, created, time }) => setProject(storage, name, created, time)))
    }
    const live = await allRows(folder.path)
    await dropShapes(folder.path)
    await (await openStorage(folder.path))[Symbol.asyncDispose]()
    expect(await allRows(folder.path)).toEqual(live)
  })
  await fc.assert(property, { numRuns: 12 })
})

test('two stores given the same mutations at the same times have the same digests and rows', async () => {
  const property = fc.asyncProperty(changes, async (list) => {
    const digests: string[] = []
    const rows: unknown[] = []
    for (const oneByOne of [true, false]) {
      await using folder = await tempFolder()
      {
        await using storage = await openStorage(folder.path)
        const steps = list.map(({ name, created, time }) => () => setProject(storage, name, created, time))
        if (oneByOne) for (const step of steps) await step()
        else await Promise.all(steps.map((step) => step()))
        digests.push(digestHex(storage.head.digest))
      }
      rows.push(await allRows(folder.path, 'ekop'))
    }
    expect(digests[1]).toBe(digests[0])
    expect(rows[1]).toEqual(rows[0])
  })
  await fc.assert(property, { numRuns: 8 })
})

test('a log of several batches folds to the same rows', async () => {
  await using folder = await tempFolder()
  {
    await using storage = await openStorage(folder.path)
    await Promise.all(Array.from({ length: 2500 }, (_, at) => setProject(storage, `p${at % 7}`, at)))
  }
  const live = await allRows(folder.path)
  await dropShapes(folder.path)
  const progress: number[] = []
  const storage = await openStorage(folder.path, { onRebuild: ({ serial }) => progress.push(serial) })
  await storage[Symbol.asyncDispose]()
  expect(progress.at(-1)).toBe(2499)
  expect(await allRows(folder.path)).toEqual(live)
})

test.each<[string, Projection[], boolean]>([
  ['the same projections', [projectNames], false],
  ['another shape', [{ ...projectNames, shape: 2 }], true],
  ['one projection more', [projectNames, { ...projectNames, name: 'another' }], true],
  ['one projection fewer', [], true],
])('opening with %s', async (_, projections, rebuilds) => {
  await using folder = await tempFolder()
  await (await openStorage(folder.path).then(async (storage) => (await setProject(storage, 'a', 1), storage)))[Symbol.asyncDispose]()
  let rebuilt = false
  const storage = await openStorage(folder.path, { projections, onRebuild: () => (rebuilt = true) })
  expect(rebuilt).toBe(rebuilds)
  for (const { name } of projections) expect(await collect(storage.projectionRows(name, ''))).toHaveLength(1)
  if (projections.length === 0) expect(await collect(storage.projectionRows(projectNames.name, ''))).toEqual([])
  await storage[Symbol.asyncDispose]()
})

test('the order in which projections are listed means nothing', async () => {
  await using folder = await tempFolder()
  const another = { ...projectNames, name: 'another' }
  {
    await using storage = await openStorage(folder.path, { projections: [projectNames, another] })
    await setProject(storage, 'a', 1)
  }
  await using storage = await openStorage(folder.path, { projections: [another, projectNames], onRebuild: () => { throw new Error('rebuilt') } })
  expect(storage.head.serial).toBe(0)
})

test('a rebuild that was cut off starts over', async () => {
  await using folder = await tempFolder()
  {
    await using storage = await openStorage(folder.path)
    await setProject(storage, 'a', 1)
    await setProject(storage, 'a', 2)
  }
  const live = await allRows(folder.path)
  const failing = { ...projectNames, fold: () => { throw new Error('cut off') } }
  await expect(openStorage(folder.path, { projections: [{ ...failing, shape: 2 }] })).rejects.toThrow('cut off')
  const db = await Database.open(`${folder.path}/db`)
  await db.write([{ type: 'put', key: projectionRow('project-names', 'stray'), value: new Uint8Array(1) }], { sync: true })
  await db.close()
  await (await openStorage(folder.path))[Symbol.asyncDispose]()
  expect(await allRows(folder.path)).toEqual(live)
})

test('two projections of one name are a fault', async () => {
  await using folder = await tempFolder()
  await expect(openStorage(folder.path, { projections: [projectNames, projectNames] })).rejects.toThrow('same name')
})

test('a folder in use is refused', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  expect(storage.nodeId).toMatch(/^[0-9a-f]{32}$/)
  expect(await refusalOf(openStorage(folder.path))).toBe('conflict')
})

test('a log without its newest entry, or with another one, does not open', async () => {
  await using folder = await tempFolder()
  {
    await using storage = await openStorage(folder.path)
    await setProject(storage, 'a', 1)
    await setProject(storage, 'a', 2)
  }
  for (const serial of [1, 0]) {
    const db = await Database.open(`${folder.path}/db`)
    await db.write([{ type: 'del', key: `e${String(serial).padStart(15, '0')}` }], { sync: true })
    await db.close()
    await expect(openStorage(folder.path)).rejects.toThrow('entry 0')
  }
})
