import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { entryDigest } from '#log-format/chain.js'
import { packValue } from '#log-format/codec.js'
import { type Frame, FrameReader } from '#log-format/framing.js'
import { keys } from '#log-format/keys.js'
import { NO_SERIAL, toSerial } from '#log-format/serial.js'
import { Database } from '#server/storage/database.js'
import type { Row } from '#server/storage/row-batches.js'
import { loadSnapshot } from '#server/storage/load-snapshot.js'
import { MAX_BLOCK_BYTES, SnapshotReader, SnapshotWriter } from '#server/storage/snapshot-blocks.js'
import type { Storage } from '#server/storage/storage.js'
import { verifyStore } from '#server/storage/verify.js'
import { allRows, collect, openStorage, origin, project, projectKey, projectNames, setProject, someMutation, tempFolder } from './temp-storage.js'

/** Values that came, changed and went, some of them long enough to stay in their entries, and a secret. */
async function someHistory(storage: Storage): Promise<void> {
  for (let step = 0; step < 60; step += 1) {
    const name = `p${step % 7}`
    await storage.transact(origin(step), (tx) => {
      if (step % 5 === 4) tx.delete(projectKey(name))
      else tx.set(projectKey(name), project(step))
      tx.set(keys.metadata({ user: 'alice', index: 'dev', project: name, version: '1' }), { summary: `${step} ${'long '.repeat(step)}` })
      tx.secrets.set('user-alice', { verifier: 'a secret of the vault' })
      tx.record(someMutation)
      return Promise.resolve()
    })
  }
}

function framesIn(bytes: Uint8Array): Frame[] {
  return new FrameReader(MAX_BLOCK_BYTES).push(bytes)
}

async function framesOf(storage: Storage): Promise<Frame[]> {
  return framesIn(Buffer.concat(await collect(storage.snapshot())))
}

async function* sent(frames: readonly Frame[], fault?: Error): AsyncGenerator<Frame> {
  yield* frames
  if (fault !== undefined) throw await Promise.resolve(fault)
}

/** An empty server directory of a replica. */
async function emptyReplica(folder: string): Promise<void> {
  await (await openStorage(folder, { source: 'import' }))[Symbol.asyncDispose]()
}

const nothing = (): void => undefined

test('who begins with a snapshot has the entries and rows of the other node, follows on, and has none of its secrets', async () => {
  await using folder = await tempFolder()
  const [there, here] = [join(folder.path, 'there'), join(folder.path, 'here')]
  const primary = await openStorage(there)
  await someHistory(primary)
  const pieces = primary.snapshot()
  const first = await pieces.next()
  await setProject(primary, 'later', 1, 1000) // is not in it
  const frames = framesIn(Buffer.concat([first.value as Uint8Array, ...(await collect(pieces))]))
  expect(Buffer.concat(frames.map(({ bytes }) => bytes)).includes('a secret of the vault')).toBe(false)

  await emptyReplica(here)
  const progress: number[] = []
  const { serial } = await loadSnapshot(here, sent(frames), ({ rows }) => progress.push(rows))
  expect(serial).toBe(59)
  expect(progress.at(-1)).toBe((await allRows(here, 'ekop')).length)

  const replica = await openStorage(here, { source: 'import', onRebuild: () => { throw new Error('the rows were folded afresh') } })
  expect(replica.head.serial).toBe(59)
  expect(await replica.reader(toSerial(20)).get(projectKey('p3'))).toEqual(await primary.reader(toSerial(20)).get(projectKey('p3')))
  expect(replica.secretsSince(toSerial(10)).isComplete).toBe(true) // it has none to tell of yet
  for await (const [entry] of primary.entries.read(toSerial(60))) await replica.importEntries([{ bytes: entry!.bytes, digest: primary.head.digest }])
  expect(replica.head).toEqual(primary.head)
  await Promise.all([primary[Symbol.asyncDispose](), replica[Symbol.asyncDispose]()])
  expect(await allRows(here, 'ekop')).toEqual(await allRows(there, 'ekop'))
  const findings: string[] = []
  await verifyStore({ folder: here, projections: [projectNames], onFinding: ({ message }) => findings.push(message) })
  expect(findings).toEqual([])
})

test('one of an empty log is empty', async () => {
  await using folder = await tempFolder()
  const [there, here] = [join(folder.path, 'there'), join(folder.path, 'here')]
  await using primary = await openStorage(there)
  await emptyReplica(here)
  expect((await loadSnapshot(here, sent(await framesOf(primary)), nothing)).serial).toBe(NO_SERIAL)
  await using replica = await openStorage(here, { source: 'import' })
  expect(replica.head.serial).toBe(NO_SERIAL)
})

test('rows of other projections are folded afresh', async () => {
  await using folder = await tempFolder()
  const [there, here] = [join(folder.path, 'there'), join(folder.path, 'here')]
  const primary = await openStorage(there, { projections: [{ ...projectNames, shape: 7 }] })
  await someHistory(primary)
  const frames = await framesOf(primary)
  await primary[Symbol.asyncDispose]()
  await emptyReplica(here)
  await loadSnapshot(here, sent(frames), nothing)
  let rebuilt = false
  await (await openStorage(here, { source: 'import', onRebuild: () => { rebuilt = true } }))[Symbol.asyncDispose]()
  expect(rebuilt).toBe(true)
})

test('what breaks off anywhere, and what a crash leaves, is nothing', async () => {
  await using folder = await tempFolder()
  const here = join(folder.path, 'here')
  await using primary = await openStorage(join(folder.path, 'there'))
  await someHistory(primary)
  const frames = await framesOf(primary)
  await emptyReplica(here)
  for (let count = 0; count < frames.length; count += 1) {
    await expect(loadSnapshot(here, sent(frames.slice(0, count), new Error('cut off')), nothing)).rejects.toThrow('cut off')
    await expect(loadSnapshot(here, sent(frames.slice(0, count)), nothing)).rejects.toThrow('a snapshot without its end')
    expect(await allRows(here, 'ekop')).toEqual([])
  }
  const crashed = join(folder.path, 'crashed')
  await loadSnapshot(here, (async function* () {
    yield* frames.slice(0, -1)
    await cp(here, crashed, { recursive: true, filter: (path) => !path.endsWith('LOCK') }) // as kill -9 leaves it
    yield* frames.slice(-1)
  })(), nothing)
  expect((await allRows(crashed, 'ekop')).length).toBeGreaterThan(0)
  await emptyReplica(crashed)
  expect(await allRows(crashed, 'ekop')).toEqual([])
  expect((await loadSnapshot(crashed, sent(frames), nothing)).serial).toBe(59)
})

test('it is loaded into an empty log only', async () => {
  await using folder = await tempFolder()
  const there = join(folder.path, 'there')
  const primary = await openStorage(there)
  await someHistory(primary)
  const frames = await framesOf(primary)
  await primary[Symbol.asyncDispose]()
  const before = await allRows(there)
  await expect(loadSnapshot(there, sent(frames), nothing)).rejects.toThrow('into an empty log only')
  expect(await allRows(there)).toEqual(before)
})

describe('a snapshot that is not what a node sends is refused, and nothing of it stays:', () => {
  type Change = (rows: Row[]) => Row[]
  const at = (rows: readonly Row[], letter: string): number => rows.findIndex(([key]) => key.startsWith(letter))
  const replaced = (rows: Row[], index: number, row: Row): Row[] => [...rows.slice(0, index), row, ...rows.slice(index + 1)]
  const cases: readonly (readonly [string, Change, string])[] = [
    ['a secret', (rows) => [...rows, ['suser', packValue('x')]], 'does not belong into a snapshot'],
    ['what another node is', (rows) => replaced(rows, at(rows, 'o'), ['mfact\0role', packValue('primary')]), 'does not belong into a snapshot'],
    ['an entry twice', (rows) => [rows[0]!, ...rows], 'not behind the one before it'],
    ['an entry left out', (rows) => rows.filter((_, index) => index !== 3), 'serial 3 was expected'],
    ['the last entry left out', (rows) => rows.filter((_, index) => index !== at(rows, 'k') - 1), 'announced were 59'],
    ['an entry of another serial', (rows) => replaced(rows, 3, [rows[3]![0], rows[4]![1]]), 'serial 3 was expected'],
    ['a damaged entry', (rows) => replaced(rows, 3, [rows[3]![0], Buffer.concat([rows[3]![1], Buffer.from('x')])]), 'bytes'],
    ['a value without a serial', (rows) => replaced(rows, at(rows, 'k'), [rows[at(rows, 'k')]![0], Buffer.from('short')]), 'without the serial'],
    ['a value of the future', (rows) => replaced(rows, at(rows, 'k'), [rows[at(rows, 'k')]![0], Buffer.from('ffffffffffffffff', 'hex')]), 'without the serial'],
    ['rows that are not in order', (rows) => [...rows].reverse(), 'not behind the one before it'],
  ]

  let honest: readonly Frame[] = []
  beforeAll(async () => {
    await using folder = await tempFolder()
    await using primary = await openStorage(folder.path)
    await someHistory(primary)
    honest = await framesOf(primary)
  })

  test.each(cases)('%s', async (_, change, message) => {
    await using folder = await tempFolder()
    const here = join(folder.path, 'here')
    const reader = new SnapshotReader()
    const blocks = honest.map((frame) => reader.read(frame))
    const head = blocks.flatMap((block) => (block.kind === 'head' ? [block.head] : []))[0]!
    const rows = change(blocks.flatMap((block) => (block.kind === 'rows' ? [...block.rows] : [])))
    const writer = new SnapshotWriter()
    const frames = [writer.head(head), writer.rows(rows), writer.end()].flatMap(framesIn)
    await emptyReplica(here)
    await expect(loadSnapshot(here, sent(frames), nothing)).rejects.toThrow(message)
    expect(await allRows(here, 'ekops')).toEqual([])
    await using db = await Database.open(join(here, 'db'))
    expect(db.get('mfact\0role')).toBeUndefined()
  })

  const head = { format: 1, serial: toSerial(0), digest: new Uint8Array(32), shapes: new Uint8Array() }
  const row: Row = ['pnames\0a', Buffer.from('value')]
  const spelt: readonly (readonly [string, () => Frame[], string])[] = [
    ['another layout of rows', () => framesIn(new SnapshotWriter().head({ ...head, format: 99 })), 'this release reads format'],
    ['rows before the head', () => framesIn(new SnapshotWriter().rows([row])), 'out of order'],
    ['a second head', () => { const writer = new SnapshotWriter(); return [writer.head(head), writer.head(head)].flatMap(framesIn) }, 'out of order'],
    ['more behind the end', () => { const writer = new SnapshotWriter(); return [writer.head(head), writer.end(), writer.rows([row])].flatMap(framesIn) }, 'out of order'],
    ['a block left out', () => { const writer = new SnapshotWriter(); return [writer.head(head), writer.rows([row]), writer.end()].flatMap(framesIn).filter((_, index) => index !== 1) }, 'the digest here is'],
    ['a changed byte', () => framesIn(new SnapshotWriter().head(head)).map(({ bytes, digest }) => ({ digest, bytes: bytes.map((byte, index) => (index === 3 ? byte ^ 1 : byte)) })), 'the digest here is'],
  ]
  test.each(spelt)('%s', async (_, frames, message) => {
    await using folder = await tempFolder()
    await emptyReplica(folder.path)
    await expect(loadSnapshot(folder.path, sent(frames()), nothing)).rejects.toThrow(message)
  })

  test('rows that go beyond their block', () => {
    const writer = new SnapshotWriter()
    const [first] = framesIn(writer.head(head))
    const [second] = framesIn(writer.rows([row]))
    for (let length = 2; length < second!.bytes.length; length += 1) {
      const bytes = second!.bytes.subarray(0, length)
      const reader = new SnapshotReader()
      reader.read(first!)
      expect(() => reader.read({ bytes, digest: entryDigest(first!.digest, bytes) })).toThrow('a row that goes beyond its block')
    }
  })
})
