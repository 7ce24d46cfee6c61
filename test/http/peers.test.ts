import { Refusal } from '#log-format/api/refusal.js'
import { trustProxies } from '#server/http/peers.js'
import { fakeRequest } from './requests.js'

test.each([
  [['loopback'], '127.0.0.1', true],
  [['loopback'], '127.9.9.9', true],
  [['loopback'], '::1', true],
  [['loopback'], '::ffff:127.0.0.1', true],
  [['10.0.0.0/8'], '10.1.2.3', true],
  [['10.1.2.3', ' loopback '], '10.1.2.3', true],
  [['2001:db8::/32'], '2001:db8::7', true],
  [['0.0.0.0/0'], '198.51.100.7', true],
  [['loopback'], '10.1.2.3', false],
  [['10.0.0.0/8'], '11.1.2.3', false],
  [['10.1.2.3'], '10.1.2.4', false],
  [['2001:db8::/32'], '2001:db9::7', false],
  [['loopback'], undefined, false],
  [[], '127.0.0.1', false],
])('of %j, a peer at %s is trusted: %s', (proxies, remoteAddress, trusted) => {
  const request = fakeRequest(remoteAddress === undefined ? {} : { remoteAddress })
  expect(trustProxies(proxies).trusts(request)).toBe(trusted)
})

test.each(['', 'proxy.example', '10.0.0.0/33', '2001:db8::/129', '10.0.0.0/8/8', '10.0.0.0/', '10.0.0.0/x', '10.0.0', '*', '/8'])(
  'refused as a trusted proxy: %j',
  (proxy) => {
    expect(() => trustProxies([proxy])).toThrow(Refusal)
  },
)

test.each<[string, string, Record<string, string>, string]>([
  ['a direct client', '198.51.100.7', {}, '198.51.100.7'],
  ['IPv4 on a socket for both kinds', '::ffff:198.51.100.7', {}, '198.51.100.7'],
  ['a stranger who says so', '198.51.100.7', { 'x-forwarded-for': '192.0.2.9', 'x-real-ip': '192.0.2.9' }, '198.51.100.7'],
  ['one proxy', '127.0.0.1', { 'x-forwarded-for': '192.0.2.9' }, '192.0.2.9'],
  ['two proxies', '127.0.0.1', { 'x-forwarded-for': '192.0.2.9, 10.0.0.5' }, '192.0.2.9'],
  ['an invented address before it', '127.0.0.1', { 'x-forwarded-for': '203.0.113.1, 192.0.2.9' }, '192.0.2.9'],
  ['only proxies', '127.0.0.1', { 'x-forwarded-for': '10.0.0.4, 10.0.0.5' }, '10.0.0.4'],
  ['a port', '127.0.0.1', { 'x-forwarded-for': '192.0.2.9:4711' }, '192.0.2.9'],
  ['IPv6 with a port', '127.0.0.1', { 'x-forwarded-for': '[2001:db8::7]:4711' }, '2001:db8::7'],
  ['IPv6', '127.0.0.1', { 'x-forwarded-for': '2001:db8::7' }, '2001:db8::7'],
  ['IPv4 written as IPv6', '127.0.0.1', { 'x-forwarded-for': '::ffff:192.0.2.9' }, '192.0.2.9'],
  ['a name', '127.0.0.1', { 'x-forwarded-for': '192.0.2.9, unknown' }, '127.0.0.1'],
  ['nothing', '127.0.0.1', { 'x-forwarded-for': '' }, '127.0.0.1'],
  ['the header of nginx', '127.0.0.1', { 'x-real-ip': '192.0.2.9' }, '192.0.2.9'],
  ['both headers', '127.0.0.1', { 'x-real-ip': '192.0.2.8', 'x-forwarded-for': '192.0.2.9' }, '192.0.2.9'],
])('address of the client: %s', (_, remoteAddress, headers, address) => {
  const proxies = trustProxies(['loopback', '10.0.0.0/8'])
  expect(proxies.clientAddress(fakeRequest({ remoteAddress, headers }))).toBe(address)
})
