import fc from 'fast-check'
import type { Change } from '#log-format/change.js'
import { type Entry, VIAS } from '#log-format/entry.js'
import { toSerial } from '#log-format/serial.js'
import type { JsonValue } from '#log-format/values.js'

const text = fc.string({ unit: 'binary', maxLength: 20 })
const name = text.filter((value) => value !== '__proto__')
const number = fc.oneof(fc.integer(), fc.maxSafeInteger(), fc.double({ noNaN: true, noDefaultInfinity: true }))

/** Whatever a value of the log may be. */
export const jsonValue: fc.Arbitrary<JsonValue> = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    // -0 is written as a float and read as one; JSON does not know it.
    number.filter((value) => !Object.is(value, -0)),
    text,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(name, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
})).value

const path = fc.stringMatching(/^[a-z+.]{1,8}(\/[a-z+.]{1,8}){1,4}$/)
const change: fc.Arbitrary<Change> = fc.record({ path, value: fc.oneof(fc.constant(undefined), jsonValue) })

export const entry: fc.Arbitrary<Entry> = fc.record({
  serial: fc.nat().map(toSerial),
  time: fc.maxSafeNat(),
  parent: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  epoch: fc.nat(),
  actor: text,
  via: fc.constantFrom(...VIAS),
  request: text,
  mutation: fc.oneof(
    fc.record({ kind: fc.constant('user-created' as const), user: text }),
    // Of a newer release: carried as it is.
    fc.dictionary(name, jsonValue, { maxKeys: 3, noNullPrototype: true }).map((fields) => ({ ...fields, kind: 'something-newer' })),
  ),
  changes: fc.array(change, { maxLength: 5 }),
})
