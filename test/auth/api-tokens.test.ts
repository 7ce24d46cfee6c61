import { createHash } from 'node:crypto'
import fc from 'fast-check'

import type { JsonValue, TokenValue } from '#log-format/values.js'
import { findApiToken, hasExpired, looksLikeApiToken, newApiToken, type TokenStore } from '#server/auth/api-tokens.js'
import { looksLikeToken } from '#server/auth/tokens.js'

const VALUE: TokenValue = { name: 'ci', actions: ['read'], indexes: ['*'], created: 0 }

function storeOf(secrets: Readonly<Record<string, JsonValue>>, value: TokenValue | undefined = VALUE): TokenStore {
  return { secretOf: (id) => secrets[id], valueOf: () => Promise.resolve(value) }
}

test('a token survives URLs, shells and netrc files as it is, and is no login token', () => {
  for (let time = 0; time < 200; time += 1) {
    const { id, text } = newApiToken('nina')
    expect(text).toMatch(/^devpi_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/)
    expect(text).not.toMatch(/^(pypi|devpi)-/) // the client would take it for a macaroon, spec/server-http.md 3.2
    expect(encodeURIComponent(text)).toBe(text)
    expect(text).toContain(id)
    expect(looksLikeApiToken(text)).toBe(true)
    expect(looksLikeToken(text)).toBe(false)
  }
})

test('what is kept is a hash, from which the token cannot be had', () => {
  const { text, secret } = newApiToken('nina')
  expect(secret).toEqual({ user: 'nina', sha256: createHash('sha256').update(text).digest('hex') })
  expect(newApiToken('nina').text).not.toBe(text)
})

test.each(['', 's3cret', 'devpi_', `devpi_${'a'.repeat(16)}_`, `devpi_${'a'.repeat(16)}_${'A'.repeat(42)}`, `devpi_${'a'.repeat(16)}_${'A'.repeat(44)}`, `devpi_${'g'.repeat(16)}_${'A'.repeat(43)}`, ` devpi_${'a'.repeat(16)}_${'A'.repeat(43)}`, `devpi_${'a'.repeat(16)}_${'A'.repeat(43)}\n`])(
  '%j is not even shaped like one',
  async (text) => {
    expect(looksLikeApiToken(text)).toBe(false)
    expect(await findApiToken(storeOf({}), text, 0)).toBeUndefined()
  },
)

test('a token is found, and no other text with its id', async () => {
  const { id, text, secret } = newApiToken('nina')
  const store = storeOf({ [id]: secret })
  expect(await findApiToken(store, text, 0)).toEqual({ user: 'nina', value: VALUE, isExpired: false })
  await fc.assert(
    fc.asyncProperty(fc.nat(text.length - 1), fc.constantFrom(...'Aa0-_.%'), async (at, replacement) => {
      const forged = text.slice(0, at) + replacement + text.slice(at + 1)
      if (forged !== text) expect(await findApiToken(store, forged, 0)).toBeUndefined()
    }),
  )
})

test.each<[number | undefined, number, boolean]>([
  [undefined, 9e15, false],
  [1000, 999, false],
  [1000, 1000, true],
  [1000, 1001, true],
])('a token that expires at %p is over at %d: %s', (expires, nowMs, expected) => {
  expect(hasExpired({ ...VALUE, ...(expires !== undefined && { expires }) }, nowMs)).toBe(expected)
})
