import fc from 'fast-check'
import { type CheckedEntry, checkEntry } from '#log-format/checked-entry.js'
import { decodeEntry, encodeEntry, MAX_ENTRY_BYTES, packValue } from '#log-format/codec.js'
import { sliceEntry } from '#log-format/entry-slices.js'
import { FormatError } from '#log-format/errors.js'
import { entry } from './arbitraries.js'

/** What takes many times as long. */
function decodeAndSlice(bytes: Uint8Array): CheckedEntry {
  const { serial, time, parent, epoch, mutation } = decodeEntry(bytes)
  return { link: { serial, time, parent, epoch }, mutation, slices: sliceEntry(bytes) }
}

/** What comes of bytes, or why they are refused; any other fault is a bug. */
function outcome(read: (bytes: Uint8Array) => CheckedEntry, bytes: Uint8Array): unknown {
  try {
    const { link, mutation, slices } = read(bytes)
    const changes = slices.changes.map((change) => ({ ...change, valueBytes: change.valueBytes && [...change.valueBytes] }))
    return { link: { ...link, parent: [...link.parent] }, mutation, slices: { ...slices, mutationBytes: [...slices.mutationBytes], changes } }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    return error.message
  }
}

function expectSame(bytes: Uint8Array): void {
  expect(outcome(checkEntry, bytes)).toEqual(outcome(decodeAndSlice, bytes))
}

test('an entry is checked as it is decoded', () => {
  fc.assert(fc.property(entry, (value) => {
    const bytes = encodeEntry(value)
    expect(typeof outcome(checkEntry, bytes)).toBe('object')
    expectSame(bytes)
  }))
})

test('damaged bytes are taken or refused as decoding takes or refuses them', () => {
  const damage = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 3 })
  fc.assert(
    fc.property(entry, damage, fc.boolean(), (value, hits, isEarly) => {
      const bytes = Uint8Array.from(encodeEntry(value))
      for (const [at, byte] of hits) bytes[at % (isEarly ? 70 : bytes.length)] = byte
      expectSame(bytes)
    }),
    { numRuns: 2000 },
  )
})

const FIELDS: readonly unknown[] = [1, 2, new Uint8Array(32), 0, 'alice', 0, 'r', { kind: 'user-created', user: 'bob' }, [['bob/.config', 1]]]

/** The fields of an entry, but for some of them. */
function entryWith(fields: Readonly<Record<number, unknown>>, further: readonly unknown[] = []): Uint8Array {
  return Buffer.concat([Buffer.from([1]), packValue([...FIELDS.map((field, at) => (at in fields ? fields[at] : field)), ...further])])
}

test.each<[string, Uint8Array, string]>([
  ['a tenth field', entryWith({}, [1]), 'an entry has 9 fields, not 10 at entry'],
  ['a negative serial', entryWith({ 0: -1 }), 'serial is not a whole number'],
  ['a fraction of a serial', entryWith({ 0: 1.5 }), 'serial is not a whole number'],
  ['a time that is text', entryWith({ 1: 'now' }), 'time is not a whole number'],
  ['a time beyond what is exact', entryWith({ 1: 2 ** 60 }), 'time is not a whole number'],
  ['a parent that is too short', entryWith({ 2: new Uint8Array(31) }), 'parent is not a digest'],
  ['a parent that is text', entryWith({ 2: 'a'.repeat(33) }), 'parent is not a digest'],
  ['no epoch', entryWith({ 3: null }), 'epoch is not a whole number'],
  ['an actor that is a number', entryWith({ 4: 7 }), 'actor is not text'],
  ['an unknown way', entryWith({ 5: 99 }), 'via is none of the known ways'],
  ['half a way', entryWith({ 5: 0.5 }), 'via is none of the known ways'],
  ['a request that is a list', entryWith({ 6: ['r'] }), 'request is not text'],
  ['a mutation that is a list', entryWith({ 7: [] }), 'a mutation is not a map'],
  ['a mutation without its fields', entryWith({ 7: { kind: 'user-created' } }), 'user-created wants user to be string'],
  ['changes that are a map', entryWith({ 8: {} }), 'changes are not a list'],
  ['a change of nothing', entryWith({ 8: [[]] }), 'a change is not [path] or [path, value] at entry.changes.0'],
  ['a change of three things', entryWith({ 8: [['a', 1, 'b', 2]] }), 'a change is not [path] or [path, value] at entry.changes.0'],
  ['a change that is a map', entryWith({ 8: [{ a: 1 }] }), 'a change is not [path] or [path, value] at entry.changes.0'],
  ['a path that is a number', entryWith({ 8: [['a', 1], [5, 1]] }), 'a change is not [path] or [path, value] at entry.changes.1'],
  ['an empty path', entryWith({ 8: [['', 1]] }), 'a path is empty or has a NUL at entry.changes.0'],
  ['a path with a NUL', entryWith({ 8: [['a\0b']] }), 'a path is empty or has a NUL at entry.changes.0'],
  ['another version', Buffer.concat([Buffer.from([2]), entryWith({}).subarray(1)]), 'entry version 2 is not known'],
  ['bytes left over', Buffer.concat([entryWith({}), Buffer.from([0])]), '1 bytes left over at byte'],
  ['one byte', Buffer.from([1]), 'truncated at byte 1'],
  ['none', new Uint8Array(0), 'truncated at byte 0'],
  ['too many', new Uint8Array(MAX_ENTRY_BYTES + 1), 'is too large'],
])('%s: refused', (_, bytes, message) => {
  expect(() => checkEntry(bytes)).toThrow(message)
  expectSame(bytes)
})

test('maps of few and many keys are searched for one that stands twice', () => {
  for (const count of [2, 32, 33, 200]) {
    const names = Array.from({ length: count }, (_, at) => `é${String(at).padStart(3, '0')}`)
    const bytes = entryWith({ 8: [['a', Object.fromEntries(names.map((name) => [name, 1]))]] })
    expect(checkEntry(bytes).slices.changes).toHaveLength(1)
    const repeated = Buffer.from(bytes)
    repeated.set(Buffer.from('é000'), repeated.lastIndexOf(names.at(-1)!))
    expect(() => checkEntry(repeated)).toThrow('a map has the key "é000" twice')
  }
})
