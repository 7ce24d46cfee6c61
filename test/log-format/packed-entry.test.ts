import fc from 'fast-check'
import type { Change } from '#log-format/change.js'
import { encodeEntry, packValue } from '#log-format/codec.js'
import type { Entry } from '#log-format/entry.js'
import { sliceEntry } from '#log-format/entry-slices.js'
import { packEntry } from '#log-format/packed-entry.js'
import { entry } from './arbitraries.js'

function packed({ changes, ...head }: Entry) {
  return packEntry(head, changes.map(({ path, value }) => ({ path, valueBytes: value === undefined ? undefined : packValue(value) })))
}

function expectSameBytes(given: Entry): void {
  const { bytes, offsets } = packed(given)
  expect(Buffer.compare(bytes, encodeEntry(given))).toBe(0)
  expect(offsets).toEqual(sliceEntry(bytes).changes.map(({ offset }) => offset))
}

test('packed values become the bytes that encoding the entry makes', () => {
  fc.assert(fc.property(entry, expectSameBytes))
})

const [some] = fc.sample(entry, { numRuns: 1, seed: 5 }) as [Entry]

test.each([0, 15, 16, 300, 65_535, 65_536])('as many as %i changes', (count) => {
  expectSameBytes({ ...some, changes: Array.from({ length: count }, (_, at): Change => ({ path: `p/${at}`, value: at % 3 === 0 ? undefined : { at } })) })
})

test.each([1, 31, 32, 255, 256, 65_535, 65_536])('paths of %i bytes, and of as many characters', (length) => {
  const changes: Change[] = [{ path: 'x'.repeat(length), value: 1 }, { path: 'ö'.repeat(length), value: undefined }, { path: `${'🐍'.repeat(length >> 2)}x`, value: null }]
  expectSameBytes({ ...some, changes })
})

test.each([1, 40, 300, 70_000])('values of %i characters', (length) => {
  expectSameBytes({ ...some, changes: [{ path: 'a', value: { text: 'ö'.repeat(length) } }, { path: 'b', value: 'x'.repeat(length) }] })
})
