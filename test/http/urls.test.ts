import fc from 'fast-check'
import { Refusal } from '#log-format/api/refusal.js'
import { trustProxies } from '#server/http/peers.js'
import {
  encodeSegment,
  fileUrl,
  joinUrl,
  linkPrefix,
  outsideUrls,
  relativeUrl,
  stripPrefix,
  wantsAbsoluteUrls,
} from '#server/http/urls.js'
import { fakeRequest } from './requests.js'

const proxies = trustProxies(['loopback'])
const PROXY = '127.0.0.1'
const STRANGER = '198.51.100.7'

type Row = [string, { outsideUrl?: string }, string, Record<string, string>, string]

test.each<Row>([
  ['Host', {}, STRANGER, { host: 'pkg.example:3141' }, 'http://pkg.example:3141'],
  ['an IPv6 Host', {}, STRANGER, { host: '[2001:db8::1]:3141' }, 'http://[2001:db8::1]:3141'],
  ['no Host', {}, STRANGER, {}, 'http://192.0.2.1:3141'],
  ['the option before Host', { outsideUrl: 'https://pkg.example/devpi/' }, STRANGER, { host: 'x' }, 'https://pkg.example/devpi'],
  ['an empty option', { outsideUrl: '' }, STRANGER, { host: 'x' }, 'http://x'],
  ['the header before the option', { outsideUrl: 'https://a' }, PROXY, { 'x-outside-url': 'https://b/c' }, 'https://b/c'],
  ['an empty header', { outsideUrl: 'https://a' }, PROXY, { 'x-outside-url': '' }, 'https://a'],
  ['W12: not the header of a stranger', {}, STRANGER, { host: 'x', 'x-outside-url': 'https://evil' }, 'http://x'],
  ['not even when it is no URL', {}, STRANGER, { host: 'x', 'x-outside-url': 'javascript:' }, 'http://x'],
  ['the scheme of the proxy', {}, PROXY, { host: 'x', 'x-forwarded-proto': 'https' }, 'https://x'],
  ['host and prefix too', {}, PROXY, { host: 'x', 'x-forwarded-host': 'y:8443', 'x-forwarded-prefix': '/devpi/' }, 'http://y:8443/devpi'],
  ['the nearest of several', {}, PROXY, { host: 'x', 'x-forwarded-host': 'evil, y' }, 'http://y'],
  ['an empty forwarded host', {}, PROXY, { host: 'x', 'x-forwarded-host': '' }, 'http://x'],
  ['the option before them', { outsideUrl: 'https://a' }, PROXY, { 'x-forwarded-proto': 'http', host: 'x' }, 'https://a'],
  ['not those of a stranger', {}, STRANGER, { host: 'x', 'x-forwarded-host': 'evil', 'x-forwarded-proto': 'https' }, 'http://x'],
  ['a scheme in upper case', {}, PROXY, { 'x-outside-url': 'HTTPS://b' }, 'https://b'],
])('outside URL: %s', (_, config, remoteAddress, headers, base) => {
  const outside = outsideUrls({ ...config, proxies })
  expect(outside(fakeRequest({ headers, remoteAddress })).base).toBe(base)
})

test('what a replica relays has URLs of its client, and the sub-path of this server', () => {
  const relayed = { ...proxies, relayedUrl: () => 'https://replica.example/packages' }
  const outside = outsideUrls({ outsideUrl: 'https://pkg.example/devpi', proxies: relayed })
  expect(outside(fakeRequest())).toEqual({ base: 'https://replica.example/packages', prefix: '/devpi' })
})

test('a connection with TLS is https', () => {
  const request = fakeRequest({ headers: { host: 'pkg.example' }, encrypted: true })
  expect(outsideUrls({ proxies })(request)).toEqual({ base: 'https://pkg.example', prefix: '' })
})

test.each([
  ['https://pkg.example', ''],
  ['https://pkg.example/', ''],
  ['https://pkg.example/devpi//', '/devpi'],
  ['https://pkg.example/a/b%20c', '/a/b%20c'],
])('the sub-path of %s is %j', (outsideUrl, prefix) => {
  expect(outsideUrls({ outsideUrl, proxies })(fakeRequest()).prefix).toBe(prefix)
})

test.each([
  'pkg.example',
  '//pkg.example',
  'ftp://pkg.example',
  'https://',
  'https:///path',
  'https://user@pkg.example',
  'https://pkg example',
  'https://pkg.example:port',
  'https://pkg.example"><script>',
  'https://pkg.example/a b',
  'https://pkg.example/?query',
  'https://pkg.example/#fragment',
  'https://pkg.example/a/../b',
  'https://pkg.example/a//b',
  'https://pkg.example/%zz',
  'https://pkg.example/"x',
  'https://pkg.example\\x',
])('refused as an outside URL: %s', (stated) => {
  expect(() => outsideUrls({ outsideUrl: stated, proxies })).toThrow(Refusal)
  const request = fakeRequest({ headers: { host: 'x', 'x-outside-url': stated }, remoteAddress: PROXY })
  expect(() => outsideUrls({ proxies })(request)).toThrow(Refusal)
})

test.each([
  ['host', 'a b'],
  ['host', 'a/b'],
  ['host', 'user@host'],
  ['host', '"><script>'],
  ['host', 'a:b:c'],
  ['host', '-a'],
  ['x-forwarded-proto', 'javascript'],
  ['x-forwarded-host', 'a/b'],
  ['x-forwarded-prefix', 'devpi'],
  ['x-forwarded-prefix', '//evil.example'],
])('RFC 9112, 3.2: refused as %s: %s', (name, value) => {
  const request = fakeRequest({ headers: { host: 'x', [name]: value }, remoteAddress: PROXY })
  expect(() => outsideUrls({ proxies })(request)).toThrow(Refusal)
})

test.each([
  ['/devpi/nina/dev', '/devpi', '/nina/dev'],
  ['/nina/dev', '/devpi', '/nina/dev'],
  ['/devpi', '/devpi', '/'],
  ['/devpi?x', '/devpi', '/?x'],
  ['/devpi-x/dev', '/devpi', '/devpi-x/dev'],
  ['/nina/devpi/x', '/devpi', '/nina/devpi/x'],
  ['/nina/dev', '', '/nina/dev'],
])('%s without the sub-path %j is %s', (path, prefix, stripped) => {
  expect(stripPrefix(path, prefix)).toBe(stripped)
})

test('absolute links are asked for by a header with any value', () => {
  expect(wantsAbsoluteUrls(fakeRequest({ headers: { 'x-devpi-absolute-urls': '' } }))).toBe(true)
  expect(wantsAbsoluteUrls(fakeRequest())).toBe(false)
})

test.each([
  ['w-1.0-ü.zip', 'w-1.0-%C3%BC.zip'],
  ['demo-1.0+local!.zip', 'demo-1.0+local!.zip'],
  ['carol@corp.example', 'carol@corp.example'],
  ['a#b?c%d e/f\\g', 'a%23b%3Fc%25d%20e%2Ff%5Cg'],
  ['"<>', '%22%3C%3E'],
  ['a:b,c;d=e&f$g', 'a:b,c;d=e&f$g'],
  ['\ud800', '%EF%BF%BD'],
])('the segment %s is written %s', (segment, encoded) => {
  expect(encodeSegment(segment)).toBe(encoded)
})

test('segments survive their encoding', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (segment) => {
      expect(encodeSegment(segment)).toMatch(/^[A-Za-z0-9._~!$&'()*+,;=:@%-]*$/)
      expect(decodeURIComponent(encodeSegment(segment))).toBe(segment)
    }),
  )
})

test('URLs are joined from plain text', () => {
  expect(joinUrl('https://h/devpi', 'nina', 'dev', '+simple', '')).toBe('https://h/devpi/nina/dev/+simple/')
  expect(joinUrl('', 'nina', 'a b')).toBe('/nina/a%20b')
  expect(fileUrl('https://h', 'nina', 'dev', '+f/dd6/09a8f933b97da', 'demo 1.zip')).toBe(
    'https://h/nina/dev/+f/dd6/09a8f933b97da/demo%201.zip',
  )
})

// The table of spec/server-http.md, 10.7.
test.each([
  ['/nina/dev/+simple/demo/', '../../', '../../../staging/', '../../../../root/pypi/'],
  ['/nina/dev/+simple/demo', '../', '../../staging/', '../../../root/pypi/'],
  ['/nina/dev/demo', '', '../staging/', '../../root/pypi/'],
  ['/nina/dev/demo/', '../', '../../staging/', '../../../root/pypi/'],
])('links on %s', (page, own, sibling, other) => {
  expect(linkPrefix(page, 'nina', 'dev')).toBe(own)
  expect(linkPrefix(page, 'nina', 'staging')).toBe(sibling)
  expect(linkPrefix(page, 'root', 'pypi')).toBe(other)
})

test.each([
  ['/a/b', '/a/b', 'b'],
  ['/a/', '/a/b:c', './b:c'],
  ['/a/x/', '/a/b:c', '../b:c'],
  ['/', '/a', 'a'],
])('from %s to %s: %s', (from, to, relative) => {
  expect(relativeUrl(from, to)).toBe(relative)
})

test('a relative reference leads where it should', () => {
  const folder = fc
    .array(fc.constantFrom('a', 'b', 'c:d'), { maxLength: 5 })
    .map((segments) => segments.map((segment) => `/${segment}`).join(''))
  fc.assert(
    fc.property(folder, folder, fc.constantFrom('', 'x', 'c:d'), (page, target, name) => {
      const from = `${page}/${name}`
      const to = `${target}/x`
      expect(new URL(relativeUrl(from, to), `http://h${from}`).pathname).toBe(to)
    }),
  )
})
