import fc from 'fast-check'
import { packValue } from '#log-format/codec.js'
import { textFields } from '#server/projections/text-fields.js'

const digests = textFields('sha256', 'coreMetadata')

test('the texts of a value are found, whatever else it is, and wherever it begins', () => {
  const names = fc.constantFrom('sha256', 'coreMetadata', 'größe', 'x'.repeat(300))
  const value = fc.oneof(fc.dictionary(fc.oneof(names, fc.string({ unit: 'grapheme' })), fc.jsonValue(), { noNullPrototype: true }), fc.jsonValue())
  fc.assert(
    fc.property(value, fc.nat(8), (any, start) => {
      const fields: Record<string, unknown> = typeof any === 'object' && any !== null && !Array.isArray(any) ? { ...any } : {}
      const wanted = ['sha256', 'coreMetadata'].map((name) => (typeof fields[name] === 'string' ? fields[name] : undefined))
      expect(digests(Buffer.concat([Buffer.alloc(start), packValue(any)]), start)).toEqual(wanted)
    }),
  )
})
