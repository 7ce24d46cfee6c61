import { mkdir } from 'node:fs/promises'
import { type ChainHead, digestHex, EMPTY_CHAIN, entryDigest } from '#log-format/chain.js'
import { encodeEntry, readEntry } from '#log-format/codec.js'
import type { Entry } from '#log-format/entry.js'
import { ChainError } from '#log-format/errors.js'
import type { Frame } from '#log-format/framing.js'
import { keys } from '#log-format/keys.js'
import { NO_SERIAL, toSerial } from '#log-format/serial.js'
import { Changelog } from '#server/storage/changelog.js'
import { Database } from '#server/storage/database.js'
import { Importer } from '#server/storage/importer.js'
import type { Storage } from '#server/storage/storage.js'
import { Random } from '#test/support/random.js'
import { failAfterWriting } from './full-disk.js'
import { allRows, collect, openStorage, origin, projectKey, project, projectNames, refusalOf, setProject, someMutation, tempFolder } from './temp-storage.js'

/** What a primary would send of its log. */
async function framesOf(storage: Storage): Promise<Frame[]> {
  let digest = EMPTY_CHAIN.digest
  const stored = (await collect(storage.entries.read(toSerial(0)))).flat()
  return stored.map(({ bytes }) => ({ bytes, digest: (digest = entryDigest(digest, bytes)) }))
}

/** Projects that come, change and go, with values long enough to be kept in their entries. */
async function writeHistory(storage: Storage, random: Random, count: number): Promise<void> {
  for (let step = 0; step < count; step += 1) {
    const name = `p${random.below(20)}`
    await storage.transact(origin(step), (tx) => {
      const version = { user: 'alice', index: 'dev', project: name, version: '1' }
      if (random.below(4) === 0) {
        tx.delete(projectKey(name))
        tx.delete(keys.metadata(version))
      } else {
        tx.set(projectKey(name), project(step))
        tx.set(keys.metadata(version), { summary: `${step} ${'long '.repeat(random.below(40))}` })
      }
      tx.record(someMutation)
      return Promise.resolve()
    })
  }
}

const openReplica = (folder: string, options: Parameters<typeof openStorage>[1] = {}): Promise<Storage> => openStorage(folder, { source: 'import', ...options })

test('whatever the batches, and wherever it was stopped, a replica has the entries and rows of its primary', async () => {
  await using folder = await tempFolder()
  const seed = Date.now() % 1e9
  const random = new Random(seed)
  const primary = await openStorage(`${folder.path}/primary`)
  await writeHistory(primary, random, 150)
  const frames = await framesOf(primary)
  const head = primary.head
  await primary[Symbol.asyncDispose]()
  const wanted = await allRows(`${folder.path}/primary`, 'ekop')

  for (let round = 0; round < 5; round += 1) {
    const path = `${folder.path}/replica${round}`
    let at = 0
    while (at < frames.length) {
      await using replica = await openReplica(path)
      expect([seed, replica.head.serial]).toEqual([seed, at - 1])
      const imports: Promise<ChainHead>[] = []
      for (let batches = 1 + random.below(6); batches > 0 && at < frames.length; batches -= 1) {
        const size = random.below(30)
        imports.push(replica.importEntries(frames.slice(at, at + size)))
        at = Math.min(frames.length, at + size)
      }
      const heads = await Promise.all(imports)
      expect([seed, heads.at(-1)]).toEqual([seed, replica.head])
      if (at >= frames.length) expect(replica.head).toEqual(head)
    }
    expect([seed, await allRows(path, 'ekop')]).toEqual([seed, wanted])
  }
})

test('readers and listeners of a replica see each batch as it comes', async () => {
  await using folder = await tempFolder()
  await using primary = await openStorage(`${folder.path}/primary`)
  await using replica = await openReplica(`${folder.path}/replica`)
  await setProject(primary, 'a', 1)
  await setProject(primary, 'a', 2)
  await setProject(primary, 'b', 3)
  const heard: number[] = []
  replica.onCommit((entries) => heard.push(...entries.map(({ serial }) => serial)))
  const reached = replica.reached(toSerial(2))
  await replica.importEntries(await framesOf(primary))
  await reached
  expect(heard).toEqual([0, 1, 2])
  expect(await replica.reader().get(projectKey('a'))).toEqual(project(2))
  expect(await replica.reader(toSerial(0)).get(projectKey('a'))).toEqual(project(1))
  expect(replica.writeCounts).toMatchObject({ batches: 1, entries: 3 })
})

test('a replica makes no entries, a primary takes none', async () => {
  await using folder = await tempFolder()
  await using primary = await openStorage(`${folder.path}/primary`)
  await using replica = await openReplica(`${folder.path}/replica`)
  expect(await refusalOf(setProject(replica, 'a', 1))).toBe('not-available')
  expect(replica.head.serial).toBe(NO_SERIAL)
  await expect(primary.importEntries([])).rejects.toThrow('imported where none are made')
})

/** Three entries of a log, and what came instead of the last one. */
async function received(change: (frames: Frame[]) => void): Promise<{ error: unknown; head: number; frames: readonly Frame[] }> {
  await using folder = await tempFolder()
  await using primary = await openStorage(`${folder.path}/primary`)
  await using replica = await openReplica(`${folder.path}/replica`)
  for (const name of ['a', 'b', 'c']) await setProject(primary, name, 1)
  const frames = await framesOf(primary)
  const sent = frames.map(({ bytes, digest }) => ({ bytes: bytes.slice(), digest: digest.slice() }))
  change(sent)
  const error: unknown = await replica.importEntries(sent).then(() => undefined, (thrown: unknown) => thrown)
  return { error, head: replica.head.serial, frames }
}

/** The same entry, sealed otherwise; its digest is right. */
function resealed(frames: Frame[], change: Partial<Entry>): void {
  const bytes = encodeEntry({ ...readEntry(frames[2]!.bytes), ...change })
  frames[2] = { bytes, digest: entryDigest(frames[1]!.digest, bytes) }
}

test.each<[string, (frames: Frame[]) => void, RegExp]>([
  ['bytes that are none of an entry', (frames) => frames[2]!.bytes.fill(0xc1, 1), /^entry 2 .* digest here is [0-9a-f]{64}, the one sent with it [0-9a-f]{64} \(/],
  ['another digest', (frames) => frames[2]!.digest.fill(7), /^entry 2 .* digest here is [0-9a-f]{64}, the one sent with it (07){32}$/],
  ['another parent', (frames) => resealed(frames, { parent: new Uint8Array(32) }), /^entry 2 .* its parent is 0{64}, the log before it has [0-9a-f]{64}$/],
  ['a later serial', (frames) => resealed(frames, { serial: toSerial(3) }), /^entry 3 .*serial 2 was expected$/],
  ['an entry again', (frames) => (frames[2] = frames[1]!), /^entry 1 .*serial 2 was expected$/],
  ['an earlier time', (frames) => resealed(frames, { time: 1 }), /^entry 2 .*time is before/],
])('%s is named, and what came before it stays', async (_, change, message) => {
  const { error, head } = await received(change)
  expect(error).toBeInstanceOf(ChainError)
  expect((error as ChainError).message).toMatch(message)
  expect(head).toBe(1)
})

test('kinds and keys of newer releases are carried as they are', async () => {
  await using folder = await tempFolder()
  const entry: Entry = {
    ...origin(),
    serial: toSerial(0),
    parent: EMPTY_CHAIN.digest,
    epoch: 3,
    mutation: { kind: 'moon-landed', crew: ['nina'] },
    changes: [{ path: '+moon/{base}', value: { flags: 2 } }, { path: 'alice/dev/+unheard/of/by/anybody', value: null }],
  }
  const bytes = encodeEntry(entry)
  const digest = entryDigest(entry.parent, bytes)
  await using replica = await openReplica(folder.path)
  expect(await replica.importEntries([{ bytes, digest }])).toEqual({ serial: 0, digest, time: 1000, epoch: 3 })
  const [stored] = (await collect(replica.entries.read(toSerial(0)))).flat()
  expect(Buffer.from(stored!.bytes)).toEqual(Buffer.from(bytes))
})

test('a full disk refuses entries until there is room, and they go in then', async () => {
  await using folder = await tempFolder()
  await using primary = await openStorage(`${folder.path}/primary`)
  for (const name of ['a', 'b', 'c']) await setProject(primary, name, 1)
  const frames = await framesOf(primary)
  let free = Infinity
  await using replica = await openReplica(`${folder.path}/replica`, { freeBytes: () => Promise.resolve(free) })
  await replica.importEntries(frames.slice(0, 1))
  free = 0
  expect(await refusalOf(replica.importEntries(frames.slice(1)))).toBe('storage-full')
  free = Infinity
  expect(digestHex((await replica.importEntries(frames.slice(1))).digest)).toBe(digestHex(primary.head.digest))
})

test('after a write that failed nothing is written until it is begun anew, and reads go on', async () => {
  await using folder = await tempFolder()
  await using primary = await openStorage(`${folder.path}/primary`)
  for (const name of ['a', 'b', 'c']) await setProject(primary, name, 1)
  const frames = await framesOf(primary)
  await using replica = await openReplica(`${folder.path}/replica`)
  await replica.importEntries(frames.slice(0, 1))
  const append = replica.entries.append.bind(replica.entries)
  replica.entries.append = () => Promise.reject(new Error('input/output error'))
  const first = refusalOf(replica.importEntries(frames.slice(1, 2)))
  const second = refusalOf(replica.importEntries(frames.slice(2)))
  expect([await first, await second]).toEqual(['not-available', 'not-available'])
  replica.entries.append = append
  expect(await refusalOf(replica.importEntries(frames.slice(1)))).toBe('not-available')
  expect([replica.isWritable, replica.head.serial]).toEqual([false, 0])
  expect(await replica.reader().get(projectKey('a'))).toEqual(project(1))

  await replica.importAnew() // by who asks for it again, from the head on
  expect(digestHex((await replica.importEntries(frames.slice(1))).digest)).toBe(digestHex(primary.head.digest))
  expect([replica.isWritable, replica.head.serial]).toEqual([true, 2])
  for (const name of ['a', 'b', 'c']) expect(await replica.reader().get(projectKey(name))).toEqual(project(1))
})

test('what is stored although its write failed is taken for what it is, and not folded once more', async () => {
  await using folder = await tempFolder()
  const primary = await openStorage(`${folder.path}/primary`)
  for (const [name, created] of [['a', 1], ['a', 2], ['b', 1], ['a', undefined]] as const) await setProject(primary, name, created)
  const frames = await framesOf(primary)
  await primary[Symbol.asyncDispose]()
  const committed: number[] = []
  await mkdir(`${folder.path}/replica`)
  {
    await using db = await Database.open(`${folder.path}/replica/db`)
    const entries = await Changelog.open(db)
    const onCommit = (list: readonly { readonly serial: number }[]): void => void committed.push(...list.map(({ serial }) => serial))
    const importer = new Importer({ db, entries, projections: [projectNames], onStart: () => undefined, onCommit, ensureRoom: () => Promise.resolve() })
    await importer.import(frames.slice(0, 1))
    failAfterWriting(db)
    expect(await refusalOf(importer.import(frames.slice(1, 3)))).toBe('not-available')
    expect([importer.isBroken, committed]).toEqual([true, [0]])
    await importer.beginAnew()
    expect([importer.isBroken, importer.counts]).toEqual([false, { batches: 2, entries: 3, bytes: frames.slice(0, 3).reduce((sum, { bytes }) => sum + bytes.length, 0) }])
    await importer.import(frames.slice(entries.head.serial + 1))
    await importer.idle()
  }
  expect(committed).toEqual([0, 1, 2, 3])
  expect(await allRows(`${folder.path}/replica`, 'ekop')).toEqual(await allRows(`${folder.path}/primary`, 'ekop'))
})
