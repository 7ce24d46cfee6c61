import fc from 'fast-check'
import { decodeEntry, encodeEntry, MAX_ENTRY_BYTES } from '#log-format/codec.js'
import type { Entry } from '#log-format/entry.js'
import { FormatError } from '#log-format/errors.js'
import { toSerial } from '#log-format/serial.js'
import { entry } from './arbitraries.js'

const SMALL: Entry = {
  serial: toSerial(7),
  time: 1_700_000_000_000,
  parent: new Uint8Array(32).fill(7),
  epoch: 0,
  actor: 'alice',
  via: 'token',
  request: 'r1',
  mutation: { kind: 'user-created', user: 'bob' },
  changes: [
    { path: 'bob/.config', value: { created: 1 } },
    { path: 'bob/dev/.config', value: undefined },
  ],
}

test('decoding undoes encoding, and encoding again gives the same bytes', () => {
  fc.assert(
    fc.property(entry, (value) => {
      const bytes = encodeEntry(value)
      const read = decodeEntry(bytes)
      expect({ ...read, parent: [...read.parent] }).toEqual({ ...value, parent: [...value.parent] })
      expect(Buffer.compare(encodeEntry(read), bytes)).toBe(0)
    }),
  )
})

/** Decodes or says where the fault is; anything else is a bug. */
function decodeOrSayWhere(bytes: Uint8Array): void {
  try {
    decodeEntry(bytes)
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    expect(error.message).toContain(` at ${error.at}`)
    expect(error.at).toMatch(/^(byte \d+|entry(\.\w+)*(\.\d+)?|mutation(\.\w+)?)$/)
  }
}

test('random bytes are an entry or refused with a place', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), decodeOrSayWhere), { numRuns: 2000 })
})

test('a damaged entry is an entry or refused with a place', () => {
  const damage = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 3 })
  fc.assert(
    fc.property(entry, damage, (value, hits) => {
      const bytes = Uint8Array.from(encodeEntry(value))
      for (const [at, byte] of hits) bytes[at % bytes.length] = byte
      decodeOrSayWhere(bytes)
    }),
    { numRuns: 2000 },
  )
})

test('a truncated entry is refused at every length', () => {
  const bytes = encodeEntry(SMALL)
  for (let length = 0; length < bytes.length; length += 1) {
    expect(() => decodeEntry(bytes.subarray(0, length))).toThrow(FormatError)
  }
  expect(() => decodeEntry(Buffer.concat([bytes, Buffer.from([0])]))).toThrow('1 bytes left over at byte')
})

function withDepth(depth: number): Entry {
  let value: unknown = 0
  for (let level = 0; level < depth; level += 1) value = [value]
  return { ...SMALL, changes: [{ path: 'a/.config', value: value as never }] }
}

test('an entry nested too deep is refused', () => {
  expect(decodeEntry(encodeEntry(withDepth(60))).changes).toHaveLength(1)
  expect(() => decodeEntry(encodeEntry(withDepth(80)))).toThrow(/nested deeper than 64 at byte/)
})

test('an entry that is too large is refused before it is read', () => {
  expect(() => decodeEntry(new Uint8Array(MAX_ENTRY_BYTES + 1))).toThrow('is too large')
})

/** A version byte, then the hex of msgpack. */
function raw(hex: string): Uint8Array {
  return Buffer.from(`01${hex.replace(/\s/g, '')}`, 'hex')
}

test.each([
  ['another version', Buffer.from([2, 0x90]), 'entry version 2 is not known to this release at byte 0'],
  ['no array', raw('80'), 'an entry is not an array at byte 1'],
  ['too few fields', raw('93 00 00 00'), 'an entry has 9 fields, not 3 at entry'],
  ['an extension type', raw('91 d4 01 00'), 'tag 0xd4 is not used in the log at byte 2'],
  ['64-bit integers', raw('91 cf 0000000000000001'), 'tag 0xcf is not used in the log at byte 2'],
  ['a key twice', raw('91 82 a1 61 00 a1 61 00'), 'a map has the key "a" twice at byte 6'],
  ['a key that is no text', raw('91 81 01 00'), 'a key of a map is not text at byte 3'],
  ['the key __proto__', raw('91 81 a9 5f5f70726f746f5f5f 00'), 'a map has the key __proto__ at byte 3'],
  ['broken UTF-8', raw('91 a1 ff'), 'text is not UTF-8 at byte 3'],
  ['no number', raw('91 cb 7ff8000000000000'), 'not a finite number at byte 3'],
  ['a length beyond the end', raw('dd 00ffffff'), 'truncated at byte 6'],
])('%s is refused', (_, bytes, message) => {
  expect(() => decodeEntry(bytes)).toThrow(message)
})
