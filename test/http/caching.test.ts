import {
  etagMatches,
  formatHttpDate,
  ifRangeMatches,
  isNotModified,
  isUnmodifiedSince,
  stalePageHeaders,
} from '#server/http/caching.js'

const DATE = 'Mon, 04 May 2026 09:10:11 GMT'
const MS = Date.UTC(2026, 4, 4, 9, 10, 11)

test.each<[string | undefined, string, boolean]>([
  ['"a"', '"a"', true],
  ['W/"a"', '"a"', true],
  ['"a"', 'W/"a"', true],
  ['W/"a"', 'W/"a"', true],
  ['"x", "a"', '"a"', true],
  ['"x",W/"a"', '"a"', true],
  [', "a" ,', '"a"', true],
  ['"x,y", "a,b"', '"a,b"', true],
  ['*', '"a"', true],
  [' * ', '"a"', true],
  ['"é"', '"é"', true],
  [undefined, '"a"', false],
  ['', '"a"', false],
  ['"b"', '"a"', false],
  ['"x", "y"', '"a"', false],
  ['a', '"a"', false],
  ['"a', '"a"', false],
  ['w/"a"', '"a"', false],
  ['"x" "a"', '"a"', false],
  ['"x"a"a"', '"a"', false],
  ['"A"', '"a"', false],
  ['"x, "a", y"', '"a"', false],
  ['*, "b"', '"a"', false],
])('RFC 9110, 13.1.2: If-None-Match %s against %s: %s', (header, etag, matches) => {
  expect(etagMatches(header, etag)).toBe(matches)
})

test('a long If-None-Match takes no long time', () => {
  const before = performance.now()
  expect(etagMatches(`${'"a", '.repeat(3000)}x`, '"b"')).toBe(false)
  expect(etagMatches(`${', '.repeat(8000)}x`, '"b"')).toBe(false)
  expect(etagMatches(`"a"${' ,'.repeat(8000)}x`, '"b"')).toBe(false)
  expect(performance.now() - before).toBeLessThan(500)
})

test.each<[string | undefined, boolean]>([
  [undefined, true],
  ['"a"', true],
  [DATE, true],
  ['"b"', false],
  ['W/"a"', false],
  ['Mon, 04 May 2026 09:10:12 GMT', false],
  ['2026-05-04', false],
  ['*', false],
])('RFC 9110, 13.1.5: If-Range %s: %s', (header, matches) => {
  expect(ifRangeMatches(header, { etag: '"a"', lastModifiedMs: MS + 345 })).toBe(matches)
})

test('a weak ETag is no base for a range', () => {
  expect(ifRangeMatches('W/"a"', { etag: 'W/"a"' })).toBe(false)
  expect(ifRangeMatches(DATE, { etag: '"a"' })).toBe(false)
})

test.each<[string | undefined, boolean]>([
  [DATE, true],
  ['Mon, 04 May 2026 09:10:12 GMT', true],
  ['Mon, 04 May 2026 09:10:10 GMT', false],
  ['Mon, 04 Foo 2026 09:10:11 GMT', false],
  ['Monday, 04-May-26 09:10:11 GMT', false],
  ['', false],
  [undefined, false],
])('RFC 9110, 13.1.3: If-Modified-Since %s: %s', (header, unmodified) => {
  expect(isUnmodifiedSince(header, MS + 345)).toBe(unmodified)
})

test('RFC 9110, 13.2.2: an ETag that differs counts more than a date that agrees', () => {
  const validators = { etag: '"a"', lastModifiedMs: MS }
  expect(isNotModified({ 'if-none-match': '"b"', 'if-modified-since': DATE }, validators)).toBe(false)
  expect(isNotModified({ 'if-none-match': '"a"' }, validators)).toBe(true)
  expect(isNotModified({ 'if-modified-since': DATE }, validators)).toBe(true)
  expect(isNotModified({ 'if-modified-since': DATE }, { etag: '"a"' })).toBe(false)
  expect(isNotModified({}, validators)).toBe(false)
})

test('a stale page is to be kept by nobody', () => {
  expect(stalePageHeaders(MS)).toEqual({
    'Cache-Control': 'max-age=0, must-revalidate, no-cache, no-store',
    Expires: DATE,
    'Last-Modified': DATE,
    Pragma: 'no-cache',
  })
})

test('dates are written as RFC 9110, 5.6.7 has them', () => {
  expect(formatHttpDate(MS + 999)).toBe(DATE)
})
