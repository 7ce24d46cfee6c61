import fc from 'fast-check'
import { Refusal } from '#log-format/api/refusal.js'
import { JsonScanner } from '#server/http/json-scanner.js'

function isJson(bytes: Uint8Array, pieceBytes = bytes.length): boolean {
  const scanner = new JsonScanner()
  try {
    for (let at = 0; at < bytes.length; at += pieceBytes) scanner.write(bytes.subarray(at, at + pieceBytes))
    scanner.end()
    return true
  } catch (error) {
    if (error instanceof Refusal && error.kind === 'invalid') return false
    throw error
  }
}

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

test.each([
  'null', 'true', 'false', '0', '-0', '-1.5e+10', '1E9', '0.1', '""', '"\\u00e9\\n\\"é"', '[]', '{}', ' [ 1 , "a" , { } ] ', '{"a":{"b":[null]}}', '\n1\t',
])('RFC 8259: %j is JSON', (text) => {
  for (const pieceBytes of [1, 3, 100]) expect(isJson(Buffer.from(text), pieceBytes)).toBe(true)
})

test.each([
  '', ' ', 'nul', 'nulll', 'True', '01', '-', '+1', '1.', '.5', '1e', '1e+', '0x1', 'NaN', '1 2', '"', '"\\x"', '"\\u12g4"', '"a\nb"', "'a'",
  '[', ']', '[1,]', '[,1]', '[1 2]', '[}', '{', '{]', '{"a"}', '{"a":}', '{"a":1,}', '{a:1}', '{1:1}', '{"a":1 "b":2}', '[]]', '{},', '1,', '//x',
])('RFC 8259: %j is none', (text) => {
  for (const pieceBytes of [1, 3, 100]) expect(isJson(Buffer.from(text), pieceBytes)).toBe(false)
})

test.each<[string, readonly number[], boolean]>([
  ['a character in two pieces', [0x22, 0xc3, 0xa9, 0x22], true],
  ['half a character', [0x22, 0xc3, 0x22], false],
  ['an overlong slash', [0x22, 0xc0, 0xaf, 0x22], false],
  ['a character cut off by the end', [0x22, 0xc3], false],
])('UTF-8: %s', (_, bytes, wanted) => {
  expect(isJson(Uint8Array.from(bytes), 1)).toBe(wanted)
})

test('nesting has a limit', () => {
  expect(isJson(Buffer.from('['.repeat(1000) + ']'.repeat(1000)))).toBe(true)
  expect(isJson(Buffer.from('['.repeat(1001) + ']'.repeat(1001)))).toBe(false)
})

test('agrees with JSON.parse on documents, damaged and whole, however they are cut', () => {
  const damage = fc.record({ at: fc.nat(), insert: fc.constantFrom('', ',', '"', '}', ']', '{', '0', 'e', '\\', ':', ' ') })
  fc.assert(
    fc.property(fc.json(), fc.option(damage), fc.integer({ min: 1, max: 20 }), (json, damaged, pieceBytes) => {
      const at = damaged === null ? 0 : damaged.at % (json.length + 1)
      const text = (damaged === null ? json : json.slice(0, at) + damaged.insert + json.slice(at + 1)).toWellFormed()
      expect(isJson(Buffer.from(text), pieceBytes)).toBe(parses(text))
    }),
    { numRuns: 500 },
  )
})
