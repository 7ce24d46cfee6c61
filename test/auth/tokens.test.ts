import fc from 'fast-check'
import { createHmac } from 'node:crypto'

import { issueToken, looksLikeToken, readToken, TOKEN_LIFETIME_SECONDS } from '#server/auth/tokens.js'

const SECRET = Buffer.from('0123456789abcdefghijklmnopqrstuvwxyzABCDEF')
const NOW = Date.UTC(2026, 4, 4, 9)
const NINA = { user: 'nina', credential: 'c1' }

/** A token with a right signature over any payload, as another release might write. */
function signed(payload: unknown): string {
  const text = Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload)).toString('base64url')
  const key = createHmac('sha256', SECRET).update('devpi login token').digest()
  return `dl1.${text}.${createHmac('sha256', key).update(text).digest('base64url')}`
}

test('a token brings its subject back, in pure ASCII that survives a URL', () => {
  const subjects = fc.record({ user: fc.string({ unit: 'grapheme', maxLength: 60 }), credential: fc.string({ maxLength: 30 }) })
  fc.assert(
    fc.property(subjects, fc.integer({ min: 0, max: TOKEN_LIFETIME_SECONDS - 1 }), (subject, ageSeconds) => {
      const token = issueToken(SECRET, subject, NOW)
      expect(token).toMatch(/^[A-Za-z0-9._-]+$/)
      expect(token).not.toMatch(/^(pypi|devpi)-/) // the client would take it for a macaroon, spec/server-http.md 3.2
      expect(encodeURIComponent(token)).toBe(token)
      expect(looksLikeToken(token)).toBe(true)
      expect(readToken(SECRET, token, NOW + ageSeconds * 1000)).toEqual(subject)
    }),
  )
})

test('the longest user name fits', () => {
  const subject = { user: '\u{1f511}'.repeat(63), credential: 'c'.repeat(32) }
  expect(readToken(SECRET, issueToken(SECRET, subject, NOW), NOW)).toEqual(subject)
  expect(() => issueToken(SECRET, { user: 'x'.repeat(2000), credential: 'c' }, NOW)).toThrow(RangeError)
})

test.each([
  [0, NINA],
  [TOKEN_LIFETIME_SECONDS * 1000 - 1, NINA],
  [TOKEN_LIFETIME_SECONDS * 1000, 'expired'],
  [1e12, 'expired'],
  [-900_000, NINA], // issued by a node whose clock is ahead
  [-901_000, undefined],
])('%d ms after it was issued a token reads as %j', (ageMs, expected) => {
  expect(readToken(SECRET, issueToken(SECRET, NINA, NOW), NOW + ageMs)).toEqual(expected)
})

test('no changed character leaves a token valid', () => {
  const token = issueToken(SECRET, NINA, NOW)
  fc.assert(
    fc.property(fc.nat(token.length - 1), fc.constantFrom(...'Aa0-_.%'), (at, replacement) => {
      const forged = token.slice(0, at) + replacement + token.slice(at + 1)
      if (forged !== token) expect(readToken(SECRET, forged, NOW)).toBeUndefined()
    }),
  )
})

test('another secret, and another purpose of the same secret, sign nothing here', () => {
  expect(readToken(Buffer.alloc(32, 7), issueToken(SECRET, NINA, NOW), NOW)).toBeUndefined()
  const [, payload = ''] = issueToken(SECRET, NINA, NOW).split('.')
  const bare = createHmac('sha256', SECRET).update(payload).digest('base64url')
  expect(readToken(SECRET, `dl1.${payload}.${bare}`, NOW)).toBeUndefined()
})

test.each([
  ['an object', {}],
  ['too few fields', ['nina', 'c1']],
  ['a number as user', [1, 'c1', 0]],
  ['no credential', ['nina', null, 0]],
  ['a text as time', ['nina', 'c1', '0']],
  ['no JSON', '["nina"'],
])('a signed payload with %s is no token', (_what, payload) => {
  expect(readToken(SECRET, signed(payload), NOW)).toBeUndefined()
})

test.each(['', 's3cret', 'dl1.', 'dl1..', 'dl1.a.b', `dl2.abc.${'A'.repeat(43)}`, `dl1.abc.${'A'.repeat(44)}`, `dl1.a c.${'A'.repeat(43)}`, `dl1.${'a'.repeat(4000)}.${'A'.repeat(43)}`])(
  '%j is not even shaped like a token',
  (text) => {
    expect(looksLikeToken(text)).toBe(false)
    expect(readToken(SECRET, text, NOW)).toBeUndefined()
  },
)
