import fc from 'fast-check'
import { decodeEntry, encodeEntry, packValue } from '#log-format/codec.js'
import { type Entry } from '#log-format/entry.js'
import { namesInSlice, readEntryHead, sliceEntry } from '#log-format/entry-slices.js'
import { namesInMutation } from '#log-format/mutation.js'
import { toSerial } from '#log-format/serial.js'
import type { JsonValue } from '#log-format/values.js'

// What survives the log: no negative zero, no `__proto__`.
const value = fc
  .jsonValue({ maxDepth: 3 })
  .map((json) => JSON.parse(JSON.stringify(json)) as JsonValue)
  .filter((json) => !JSON.stringify(json).includes('__proto__'))
const path = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !text.includes('\0') && text.isWellFormed())

const entry: fc.Arbitrary<Entry> = fc.record({
  serial: fc.oneof(fc.nat(300), fc.maxSafeNat()).map(toSerial),
  time: fc.maxSafeNat(),
  parent: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  epoch: fc.nat(100_000),
  actor: fc.string({ unit: 'grapheme' }),
  via: fc.constantFrom('token', 'system'),
  request: fc.string({ maxLength: 64 }),
  mutation: fc.oneof(
    fc.constant({ kind: 'server-initialised' }),
    fc.record({ kind: fc.constant('index-created'), user: fc.string(), index: fc.string(), settings: fc.dictionary(path, value, { noNullPrototype: true }) }),
    fc.record({ kind: fc.constant('newer'), note: value, user: fc.oneof(value, fc.string()), index: value, project: fc.string({ maxLength: 300 }) }),
  ).filter((mutation) => !JSON.stringify(mutation).includes('__proto__')),
  changes: fc.array(
    fc.record({ path, value: fc.oneof(fc.constant(undefined), value, fc.array(fc.nat(), { minLength: 16, maxLength: 20 })) }),
    { maxLength: 20 },
  ),
})

test('slices hold what decoding gives, and the value bytes of packing it again', () => {
  fc.assert(
    fc.property(entry, (given) => {
      const bytes = encodeEntry(given)
      const { serial, time, actor, mutation, changes } = decodeEntry(bytes)
      expect(namesInSlice(packValue(mutation))).toEqual(namesInMutation(mutation))
      expect(readEntryHead(bytes)).toEqual({ serial, time, actor, mutation })
      const slices = sliceEntry(bytes)
      for (const { valueBytes, offset } of slices.changes) {
        expect(offset === undefined).toBe(valueBytes === undefined)
        if (valueBytes !== undefined) expect(Buffer.compare(bytes.subarray(offset).subarray(0, valueBytes.length), valueBytes)).toBe(0)
      }
      expect(slices).toEqual({
        serial,
        time,
        length: bytes.length,
        mutationBytes: packValue(mutation),
        changes: changes.map((change) => ({
          path: change.path,
          offset: change.value === undefined ? undefined : (expect.any(Number) as number),
          valueBytes: change.value === undefined ? undefined : packValue(change.value),
        })),
      })
    }),
  )
})

test('a truncated entry throws', () => {
  const bytes = encodeEntry({ ...fc.sample(entry, { numRuns: 1, seed: 7 })[0]!, changes: [{ path: 'a/.config', value: { created: 70_000 } }] })
  for (let length = 1; length < bytes.length; length += 1) expect(() => sliceEntry(bytes.subarray(0, length))).toThrow()
})
