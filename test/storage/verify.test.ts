import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { keys } from '#log-format/keys.js'
import { toSerial } from '#log-format/serial.js'
import type { LinkValue } from '#log-format/values.js'
import { Database, type RowOperation } from '#server/storage/database.js'
import type { VerifiableBlobs } from '#server/storage/verify-blobs.js'
import { verifyEntries } from '#server/storage/verify-entries.js'
import { verifyStore, type VerifyReport } from '#server/storage/verify.js'
import type { Finding } from '#server/storage/verify-report.js'
import { entryRow, HEAD_DIGEST_ROW, keyName, keyRow, oldRow, projectionRow } from '#server/storage/rows.js'
import { openStorage, origin, projectNames, refusalOf, setProject, someMutation, tempFolder } from './temp-storage.js'

const digest = (letter: string) => letter.repeat(64)

function link(sha256: string): LinkValue {
  return {
    rel: 'releasefile',
    sha256,
    size: 5,
    dir: 'abc/def',
    time: 1,
    order: 1,
    log: [],
  }
}

/** Ten small entries: projects that come, change and go, and four files of which two have the same content. */
async function fill(folder: string): Promise<void> {
  await using storage = await openStorage(folder)
  for (let number = 0; number < 9; number += 1) await setProject(storage, `p${number % 3}`, number === 7 ? undefined : number)
  const release = { user: 'alice', index: 'dev', project: 'demo', version: '1.0' }
  await storage.transact(origin(), (tx) => {
    tx.set(keys.link({ ...release, basename: 'demo-1.0.tar.gz' }), link(digest('a')))
    tx.set(keys.link({ ...release, basename: 'demo-1.0.zip' }), link(digest('b')))
    tx.set(keys.link({ ...release, basename: 'demo-1.0-py3-none-any.whl' }), link(digest('a')))
    tx.set(keys.link({ ...release, basename: 'demo-1.0.egg' }), link(digest('c')))
    tx.record(someMutation)
    return Promise.resolve()
  })
}

async function verify(folder: string, blobs?: VerifiableBlobs): Promise<{ findings: string[]; report: VerifyReport }> {
  const found: Finding[] = []
  const report = await verifyStore({
    folder,
    projections: [projectNames],
    onFinding: (finding) => found.push(finding),
    ...(blobs && { blobs }),
  })
  expect(report.findings).toBe(found.length)
  expect(await readdir(folder)).toEqual(['db']) // the scratch database is gone
  return { findings: found.map(({ message }) => message), report }
}

async function change(folder: string, operations: RowOperation[]): Promise<void> {
  await using db = await Database.open(join(folder, 'db'))
  await db.write(operations, { sync: true })
}

function flipped(bytes: Uint8Array, at: number, bits = 0x01): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[at]! ^= bits
  return copy
}

test('a sound store has no findings', async () => {
  await using folder = await tempFolder()
  await fill(folder.path)
  const { findings, report } = await verify(folder.path)
  expect(findings).toEqual([])
  expect(report).toMatchObject({ head: 9, entries: 10 })
  expect(report.rows).toBeGreaterThan(10)
})

test('an empty store has no findings; an absent one is none; one in use is refused', async () => {
  await using folder = await tempFolder()
  await expect(verifyStore({ folder: folder.path, projections: [], onFinding: () => undefined })).rejects.toThrow()
  const storage = await openStorage(folder.path)
  const inUse = verifyStore({ folder: folder.path, projections: [], onFinding: () => undefined })
  expect(await refusalOf(inUse)).toBe('conflict')
  await storage[Symbol.asyncDispose]()
  expect((await verify(folder.path)).findings).toEqual([])
})

test('every flipped byte of every entry is named by its serial', async () => {
  await using folder = await tempFolder()
  await using scratch = await tempFolder()
  await fill(folder.path)
  await using db = await Database.open(join(folder.path, 'db'))
  await using fresh = await Database.open(scratch.path)
  const messagesOf = async () => {
    const messages: string[] = []
    const report = ({ message }: Finding) => void messages.push(message)
    await verifyEntries({ db, fresh, projections: [], report, progress: () => undefined })
    return messages.join('\n')
  }
  const expectNamed = async (serial: number, at: number, bits: number) => {
    const row = entryRow(toSerial(serial))
    const bytes = Uint8Array.from(db.get(row)!)
    await db.write([{ type: 'put', key: row, value: flipped(bytes, at % bytes.length, bits) }], { sync: false })
    expect(await messagesOf()).toMatch(new RegExp(`\\bentry ${serial}\\b`))
    await db.write([{ type: 'put', key: row, value: bytes }], { sync: false })
  }
  for (const serial of [0, 4, 9]) {
    const { length } = db.get(entryRow(toSerial(serial)))!
    for (let at = 0; at < length; at += 1) await expectNamed(serial, at, 1 << (at % 8))
  }
  const property = fc.asyncProperty(fc.nat(9), fc.nat(10_000), fc.integer({ min: 1, max: 255 }), expectNamed)
  await fc.assert(property, { numRuns: 150 })
  expect(await messagesOf()).toBe('')
})

const name = keyName('project', ['alice', 'dev', 'p0'])
const aRow = new Uint8Array([0, 0, 0, 0, 0, 1, 0x01])

test.each<[string, RowOperation[], RegExp]>([
  ['an entry is missing', [{ type: 'del', key: entryRow(toSerial(4)) }], /^entry 4 is missing$/m],
  ['entries are missing', [3, 4, 5].map((serial) => ({ type: 'del', key: entryRow(toSerial(serial)) })), /^entries 3 to 5 are missing$/m],
  ['the newest entry is missing', [{ type: 'del', key: entryRow(toSerial(9)) }], /^entry 8 is damaged, or entries after it are missing/m],
  ['the note of the newest digest is missing', [{ type: 'del', key: HEAD_DIGEST_ROW }], /^nothing vouches for entry 9/m],
  ['a foreign row is among the entries', [{ type: 'put', key: 'e12', value: aRow }], /^the row "e12" among the entries/m],
  ['a value is missing', [{ type: 'del', key: keyRow(name) }], /^the value of alice\/dev\/p0\/\.config is missing/m],
  ['a value is another one', [{ type: 'put', key: keyRow(name), value: aRow }], /^the value of alice\/dev\/p0\/\.config is not what/m],
  [
    'a value is too much',
    [{ type: 'put', key: keyRow(keyName('link', ['a', 'b', 'c', '1', 'c.whl'])), value: aRow }],
    /^the value of a\/b\/c\/1\/\+link\/c\.whl is there, though/m,
  ],
  ['a value of no known key is there', [{ type: 'put', key: 'kodd\0name', value: aRow }], /^the value of "odd\\u0000name" is there/m],
  ['a former value is missing', [{ type: 'del', key: oldRow(name, toSerial(0)) }], /^a former value of alice\/dev\/p0\/\.config is missing/m],
  [
    'a projection row is missing',
    [{ type: 'del', key: projectionRow('project-names', 'dev\0p0') }],
    /^the row \["dev","p0"\] of the projection project-names is missing/m,
  ],
  ['a row of no projection is there', [{ type: 'put', key: projectionRow('gone', 'x'), value: aRow }], /^the row \["x"\] of the projection gone is there/m],
])('named: %s', async (_, operations, message) => {
  await using folder = await tempFolder()
  await fill(folder.path)
  await change(folder.path, operations)
  const { findings } = await verify(folder.path)
  expect(findings.join('\n')).toMatch(message)
})

test('blobs that are missing or damaged are named, others only counted', async () => {
  await using folder = await tempFolder()
  await fill(folder.path)
  const asked: string[] = []
  const blobs: VerifiableBlobs = {
    verify: (sha256, size) => {
      asked.push(`${sha256[0]}:${size}`)
      return Promise.resolve(sha256 === digest('a') ? 'damaged' : sha256 === digest('c') ? 'missing' : 'ok')
    },
    async *list() {
      yield digest('a')
      yield digest('d')
      yield digest('e')
    },
  }
  const { findings, report } = await verify(folder.path, blobs)
  expect(asked.sort()).toEqual(['a:5', 'b:5', 'c:5'])
  expect(report).toMatchObject({ blobs: 3, unnamedBlobs: 2 })
  expect(findings.map((message) => message.replace(/\b([a-f])\1{63}\b/, '$1'))).toEqual([
    expect.stringMatching(/^the blob a of 5 bytes, named by alice\/dev\/demo\/1\.0\/\+link\/demo-1\.0\S+, is damaged$/),
    'the blob c of 5 bytes, named by alice/dev/demo/1.0/+link/demo-1.0.egg, is missing',
  ])
})

test('what a mirror may have is named, read again where it lies here, and no finding where it does not', async () => {
  await using folder = await tempFolder()
  {
    await using storage = await openStorage(folder.path)
    await storage.transact(origin(), (tx) => {
      const file = { user: 'root', index: 'pypi', project: 'demo' }
      const value = { url: 'https://upstream.example/demo', version: '1.0', dir: 'abc/def', seen: 1 }
      tx.set(keys.mirrorFile({ ...file, basename: 'demo-1.0.zip' }), { ...value, sha256: digest('a'), coreMetadata: digest('b') })
      tx.set(keys.mirrorFile({ ...file, basename: 'demo-1.0.tar.gz' }), { ...value, sha256: digest('d') })
      tx.set(keys.mirrorFile({ ...file, basename: 'demo-1.0.egg' }), value)
      tx.record(someMutation)
      return Promise.resolve()
    })
  }
  const blobs: VerifiableBlobs = {
    verify: (sha256) => Promise.resolve(sha256 === digest('a') ? 'damaged' : sha256 === digest('b') ? 'ok' : 'missing'),
    async *list () {
      yield* [digest('a'), digest('b'), digest('c')]
    },
  }
  const { findings, report } = await verify(folder.path, blobs)
  expect(findings).toEqual([`the blob ${digest('a')}, cached for root/pypi/demo/demo-1.0.zip, is damaged; remove it, and the mirror fetches it again`])
  expect(report).toMatchObject({ blobs: 2, unnamedBlobs: 1 })
})

test('a damaged table file of LevelDB is a finding', async () => {
  await using folder = await tempFolder()
  await fill(folder.path)
  {
    await using db = await Database.open(join(folder.path, 'db'))
    await db.flush()
  }
  const tables = (await readdir(join(folder.path, 'db'))).filter((file) => file.endsWith('.ldb'))
  expect(tables).not.toEqual([])
  for (const file of tables) {
    const path = join(folder.path, 'db', file)
    const bytes = await readFile(path)
    await writeFile(path, flipped(bytes, 100, 0xff))
  }
  expect((await verify(folder.path)).findings).not.toEqual([])
})
