import fc from 'fast-check'
import { packValue } from '#log-format/codec.js'
import { readMirrorFields } from '#server/stages/mirror-fields.js'

const text = fc.string({ unit: 'grapheme' })
const whole = fc.nat(Number.MAX_SAFE_INTEGER)
const time = fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -70_000, max: 70_000 }), fc.integer()) // an upstream may say one before 1970
const optional = { upstream: text, sha256: text, md5: text, size: whole, time, requiresPython: text, yanked: text, coreMetadata: text, noMetadata: fc.boolean(), provenance: text, gone: whole, digestBy: text, otherDigests: fc.dictionary(fc.webUrl(), text) }

test('what is read of a mirrored file is what was stored, in any order of its fields, wherever it begins', () => {
  const file = fc.record({ url: text, version: text, dir: text, seen: whole, ...optional }, { requiredKeys: ['url', 'version', 'dir', 'seen'] })
  const shuffled = fc.tuple(file, fc.array(fc.nat())).map(([value, order]) => {
    const fields = Object.entries(value)
    return Object.fromEntries(fields.map((field, at) => [order[at] ?? at, field] as const).sort(([a], [b]) => a - b).map(([, field]) => field)) as typeof value
  })
  fc.assert(
    fc.property(shuffled, fc.nat(8), (value, start) => {
      const bytes = Buffer.concat([Buffer.alloc(start), packValue(value)])
      const { upstream, url, version, dir, seen, sha256, size, time, requiresPython, yanked, coreMetadata, provenance } = value
      expect(readMirrorFields(bytes, start)).toEqual({
        upstream, url, version, dir, seen, sha256, size, time, requiresPython, yanked, coreMetadata, provenance,
        noMetadata: value.noMetadata === true,
        isGone: value.gone !== undefined,
      })
    }),
  )
})
