import fc from 'fast-check'

import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import {
  checkFileBasename,
  checkIndexName,
  checkUserName,
  checkVersionText,
  isKeySegment,
} from '#log-format/names.js'

function refusalOf(check: () => void): Refusal | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    if (error instanceof Refusal) return error
    throw error
  }
}

// spec/server-http.md 4.1: what creation accepts.
test.each(['nina', 'Nina', '_x', '-', '1.0', 'latest', 'a@b.example', 'föö', '名前', 'x'.repeat(255), '.config'])(
  'a user and an index may be called %j',
  (name) => {
    expect(refusalOf(() => checkUserName(name))).toBeUndefined()
    expect(refusalOf(() => checkIndexName(name))).toBeUndefined()
  },
)

const BLOCKED = [...'! "#$%&\'()*+,/:;<=>?[\\]^`{|}~', '\0', '\x1f', '\n']
test.each(BLOCKED)('4.1: %j is blocked in user and index names', (symbol) => {
  expect(refusalOf(() => checkUserName(`ca${symbol}r`))?.message).toContain("contains characters that aren't allowed.")
  expect(refusalOf(() => checkIndexName(`ca${symbol}r`))?.kind).toBe('invalid')
})

test.each([
  ['DEL', 'a\x7f'],
  ['C1 control', 'a\u0085'],
  ['zero width space (Cf)', 'a\u200bb'],
  ['right-to-left override (Cf)', 'a\u202eb'],
  ['no-break space (Zs)', 'a\u00a0b'],
  ['line separator (Zl)', 'a\u2028b'],
  ['lone surrogate', 'a\ud800'],
  ['what no JSON object can hold', '__proto__'],
  ['dot', '.'],
  ['dot dot', '..'],
  ['empty', ''],
  ['256 bytes', 'x'.repeat(256)],
  ['256 bytes of UTF-8', 'é'.repeat(128)],
])('wart W4: a name with %s is refused', (_what, name) => {
  expect(refusalOf(() => checkUserName(name))?.kind).toBe('invalid')
  expect(refusalOf(() => checkIndexName(name))?.kind).toBe('invalid')
})

test('the name that goes with API tokens is no user, and may be an index', () => {
  expect(refusalOf(() => checkUserName('__token__'))?.message).toBe("username '__token__' stands for whoever shows an API token")
  expect(refusalOf(() => checkUserName('__TOKEN__'))).toBeUndefined()
  expect(refusalOf(() => checkIndexName('__token__'))).toBeUndefined()
})

test('the refusal has the words of the catalogue (17)', () => {
  const words = "contains characters that aren't allowed. Any ascii symbol besides -.@_ is blocked."
  expect(refusalOf(() => checkUserName('ca~r'))?.message).toBe(`username 'ca~r' ${words}`)
  expect(refusalOf(() => checkIndexName('ca~r'))?.message).toBe(`indexname 'ca~r' ${words}`)
})

// 4.3 and wart W34: versions are otherwise arbitrary strings.
test.each(['1.0', '1', '1.0+local.7', '1!2.0', 'release 1', 'föö', '.config', 'v'.repeat(255)])(
  '%j can be a version',
  (version) => {
    expect(refusalOf(() => checkVersionText(version))).toBeUndefined()
  },
)

test.each(['', '.', '..', '__proto__', '+doc', '1/0', '/', '1\0', '1\n', ' 1.0', '1.0\t', '1\u200b', '\ud800', 'v'.repeat(256)])(
  '%j cannot be a version',
  (version) => {
    expect(refusalOf(() => checkVersionText(version))?.kind).toBe('invalid')
  },
)

test.each(['demo-1.0.tar.gz', 'demo-1.0+x-py3-none-any.whl', 'w-1.0-ü.zip', 'a b.zip', 'a#b%c.zip', 'x'.repeat(255)])(
  '%j can be a file name',
  (basename) => {
    expect(refusalOf(() => checkFileBasename(basename))).toBeUndefined()
  },
)

// Wart W5.
test.each(['', '.', '..', 'a/b', '../x', 'a\\b', 'a"b', "a'b", 'a`b', 'a\0', 'a\r\nb', ' a', '\u202ea', 'x'.repeat(256)])(
  'wart W5: %j cannot be a file name',
  (basename) => {
    expect(refusalOf(() => checkFileBasename(basename))?.kind).toBe('invalid')
  },
)

test('whatever is accepted can stand in a key, and every key segment does', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 12 }), fc.string({ maxLength: 12 })), (text) => {
      for (const check of [checkUserName, checkVersionText, checkFileBasename]) {
        if (refusalOf(() => check(text)) === undefined) expect(isKeySegment(text)).toBe(true)
      }
      const build = () => keys.user({ user: text })
      if (isKeySegment(text)) expect(build().segments).toEqual([text])
      else expect(build).toThrow(RangeError)
    }),
  )
})

test('a refusal never carries a line break or an endless name', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      for (const check of [checkUserName, checkVersionText, checkFileBasename]) {
        const message = refusalOf(() => check(text))?.message ?? ''
        expect(message).not.toMatch(/[\r\n\0\u2028]/)
        expect(message.length).toBeLessThan(220)
      }
    }),
  )
})
