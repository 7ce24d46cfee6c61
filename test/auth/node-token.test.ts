import fc from 'fast-check'
import { createHmac } from 'node:crypto'
import { issueNodeToken, nodeTokens, readNodeToken } from '#server/auth/node-token.js'
import { issueToken, readToken } from '#server/auth/tokens.js'

const SECRET = Buffer.from('0123456789abcdefghijklmnopqrstuvwxyzABCDEF')
const NODE = '0123456789abcdef'.repeat(2)
const SUBJECT = { node: NODE }
const NOW = Date.UTC(2026, 4, 4, 9)
const MINUTE = 60_000

/** A token with a right signature over any payload, as another release might write. */
function signed(payload: unknown, purpose = 'devpi node token'): string {
  const text = Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload)).toString('base64url')
  const key = createHmac('sha256', SECRET).update(purpose).digest()
  return `dn1.${text}.${createHmac('sha256', key).update(text).digest('base64url')}`
}

test.each([
  [0, SUBJECT],
  [10 * MINUTE, SUBJECT],
  [-10 * MINUTE, SUBJECT], // the clock of the replica is ahead
  [15 * MINUTE, SUBJECT],
  [-15 * MINUTE, SUBJECT],
  [15 * MINUTE + 1, 'expired'],
  [-15 * MINUTE - 1, 'expired'],
  [1e13, 'expired'],
])('%d ms after it was issued a token reads as %j', (ageMs, expected) => {
  expect(readNodeToken(SECRET, issueNodeToken(SECRET, NODE, NOW), NOW + ageMs)).toEqual(expected)
})

test('the clock and the secret are given once', () => {
  let now = NOW
  const tokens = nodeTokens(SECRET, () => now)
  const token = tokens.issue(NODE)
  expect(tokens.read(token)).toEqual(SUBJECT)
  now += 16 * MINUTE
  expect(tokens.read(token)).toBe('expired')
})

test('a token with another character anywhere is none', () => {
  const token = issueNodeToken(SECRET, NODE, NOW)
  fc.assert(
    fc.property(fc.nat({ max: token.length - 1 }), fc.string({ minLength: 1, maxLength: 1 }), (at, replacement) => {
      const forged = token.slice(0, at) + replacement + token.slice(at + 1)
      if (forged !== token) expect(readNodeToken(SECRET, forged, NOW)).toBeUndefined()
    }),
  )
})

test('any text is read, and is no token', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => readNodeToken(SECRET, text, NOW) === undefined && readNodeToken(SECRET, `dn1.${text}`, NOW) === undefined))
})

test.each([
  ['no JSON', 'not json'],
  ['no list', { node: NODE }],
  ['nothing', []],
  ['no time', [NODE]],
  ['a time in text', [NODE, '1']],
  ['a node that is no uuid', ['nina', 1]],
  ['a node in capitals', [NODE.toUpperCase(), 1]],
])('a payload of %s is no token', (_, payload) => {
  expect(readNodeToken(SECRET, signed(payload), 1000)).toBeUndefined()
})

test('another secret, and another purpose of the same one, sign nothing here', () => {
  const seconds = NOW / 1000
  expect(readNodeToken(SECRET, signed([NODE, seconds]), NOW)).toEqual(SUBJECT)
  expect(readNodeToken(SECRET, signed([NODE, seconds], 'devpi login token'), NOW)).toBeUndefined()
  expect(readNodeToken(Buffer.alloc(32, 7), issueNodeToken(SECRET, NODE, NOW), NOW)).toBeUndefined()
  const login = issueToken(SECRET, { user: NODE, credential: 'c1' }, NOW)
  expect(readNodeToken(SECRET, login, NOW)).toBeUndefined()
  expect(readNodeToken(SECRET, login.replace('dl1.', 'dn1.'), NOW)).toBeUndefined()
  const own = issueNodeToken(SECRET, NODE, NOW)
  expect(readToken(SECRET, own.replace('dn1.', 'dl1.'), NOW)).toBeUndefined()
})

test('only nodes get one', () => {
  for (const node of ['', 'nina', NODE.toUpperCase(), `${NODE}0`]) expect(() => issueNodeToken(SECRET, node, NOW)).toThrow(RangeError)
})
