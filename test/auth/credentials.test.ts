import fc from 'fast-check'

import { parseCredentials } from '#server/auth/credentials.js'

const base64 = (text: string, encoding: BufferEncoding = 'utf8'): string => Buffer.from(text, encoding).toString('base64')
const NINA = { user: 'nina', secret: 's3cret' }

// spec/server-http.md 3.1 and RFC 7617 section 2.
test.each([
  ['Basic', { authorization: `Basic ${base64('nina:s3cret')}` }, { ...NINA, header: 'authorization' }],
  ['a scheme in lower case', { authorization: `basic ${base64('nina:s3cret')}` }, { ...NINA, header: 'authorization' }],
  ['several spaces', { authorization: `BASIC   ${base64('nina:s3cret')} ` }, { ...NINA, header: 'authorization' }],
  ['X-Devpi-Auth', { 'x-devpi-auth': base64('nina:s3cret') }, { ...NINA, header: 'x-devpi-auth' }],
  ['an empty secret', { 'x-devpi-auth': base64('nina:') }, { user: 'nina', secret: '', header: 'x-devpi-auth' }],
  ['colons in the secret', { 'x-devpi-auth': base64('nina:["a", []].b:c') }, { user: 'nina', secret: '["a", []].b:c', header: 'x-devpi-auth' }],
  ['UTF-8', { 'x-devpi-auth': base64('föö:pässword') }, { user: 'föö', secret: 'pässword', header: 'x-devpi-auth' }],
  ['Latin-1', { 'x-devpi-auth': base64('föö:x', 'latin1') }, { user: 'föö', secret: 'x', header: 'x-devpi-auth' }],
  ['no padding', { 'x-devpi-auth': base64('nina:s3cre').replaceAll('=', '') }, { user: 'nina', secret: 's3cre', header: 'x-devpi-auth' }],
  ['Bearer', { authorization: 'Bearer abc.D-e_f~/+0==' }, { user: undefined, secret: 'abc.D-e_f~/+0==', header: 'authorization' }],
  ['Bearer in lower case', { authorization: 'bearer  abc ' }, { user: undefined, secret: 'abc', header: 'authorization' }],
  [
    'an X-Devpi-Auth that cannot be decoded, beside Bearer',
    { 'x-devpi-auth': '%%%', authorization: 'Bearer abc' },
    { user: undefined, secret: 'abc', header: 'authorization' },
  ],
  [
    'both, of which X-Devpi-Auth counts',
    { 'x-devpi-auth': base64('olga:x'), authorization: `Basic ${base64('nina:s3cret')}` },
    { user: 'olga', secret: 'x', header: 'x-devpi-auth' },
  ],
  [
    'an X-Devpi-Auth that cannot be decoded, beside Basic',
    { 'x-devpi-auth': '%%%', authorization: `Basic ${base64('nina:s3cret')}` },
    { ...NINA, header: 'authorization' },
  ],
])('%s', (_what, headers, expected) => {
  expect(parseCredentials(headers)).toEqual(expected)
})

test.each([
  ['no header', {}],
  ['an empty Authorization', { authorization: '' }],
  ['Digest', { authorization: 'Digest abc' }],
  ['a scheme that begins like Basic', { authorization: `Basically ${base64('nina:x')}` }],
])('%s brings no credentials', (_what, headers) => {
  expect(parseCredentials(headers)).toBeUndefined()
})

test.each([
  ['characters outside base64', 'a$b'],
  ['base64url', base64('nina:\u{3ffff}??>>').replaceAll('+', '-').replaceAll('/', '_') + '-_'],
  ['padding inside', 'YT==OmI='],
  ['no colon', base64('nina')],
  ['no name', base64(':s3cret')],
  ['nothing', ''],
  ['NUL in the name', base64('ni\0na:x')],
  ['a line break in the name', base64('ni\nna:x')],
  ['an endless text', base64(`nina:${'x'.repeat(9000)}`)],
  ['two joined headers', `${base64('nina:x')}, ${base64('olga:x')}`],
])('%s is malformed in either header', (_what, encoded) => {
  expect(parseCredentials({ 'x-devpi-auth': encoded })).toBe('malformed')
  expect(parseCredentials({ authorization: `Basic ${encoded}` })).toBe('malformed')
  expect(parseCredentials({ 'x-devpi-auth': encoded, authorization: 'Digest x' })).toBe('malformed')
})

// RFC 6750 section 2.1
test.each(['', 'a b', 'a,b', 'a"b', 'ä', '=', 'a=b', 'x'.repeat(9000)])('Bearer %j is malformed', (token) => {
  expect(parseCredentials({ authorization: `Bearer ${token}` })).toBe('malformed')
})

test('a header given twice is malformed', () => {
  expect(parseCredentials({ 'x-devpi-auth': [base64('nina:x'), base64('olga:x')] })).toBe('malformed')
})

test('what a client encodes is decoded again', () => {
  const name = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !/[:\p{Cc}]/u.test(text))
  fc.assert(
    fc.property(name, fc.string({ unit: 'grapheme' }), (user, secret) => {
      const encoded = base64(`${user}:${secret}`)
      expect(parseCredentials({ 'x-devpi-auth': encoded })).toEqual({ user, secret, header: 'x-devpi-auth' })
    }),
  )
})

test('no header whatsoever makes it fail', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (first, second) => {
      parseCredentials({ 'x-devpi-auth': first, authorization: `Basic ${second}` })
      parseCredentials({ 'x-devpi-auth': base64(first), authorization: second })
    }),
  )
})
