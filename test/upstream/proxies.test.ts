import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { caBundleIn, proxiesIn, readCaBundle } from '#server/process/network-environment.js'
import { UpstreamClient, type UpstreamClientInput } from '#server/upstream/client.js'
import { proxyFor, type ProxySettings } from '#server/upstream/proxies.js'
import { TargetHosts } from '#server/upstream/target-hosts.js'
import { TEST_CERTIFICATE, TEST_KEY } from '#test/support/test-certificate.js'
import { TestProxy } from '#test/support/test-proxy.js'
import { TestUpstream, text } from '#test/support/upstream.js'

const BOTH = { http_proxy: 'http://p.example:1', https_proxy: 'http://s.example:2' }

test.each<[string, Readonly<Record<string, string>>, string, string | undefined]>([
  ['none', {}, 'https://a.example/', undefined],
  ['by scheme', BOTH, 'http://a.example/', 'http://p.example:1/'],
  ['by scheme, secure', BOTH, 'https://a.example/', 'http://s.example:2/'],
  ['large letters', { HTTPS_PROXY: 'https://u:p@s.example' }, 'https://a.example/', 'https://u:p@s.example/'],
  ['small letters first', { HTTP_PROXY: 'http://large.example', http_proxy: 'http://small.example' }, 'http://a.example/', 'http://small.example/'],
  ['for all', { all_proxy: 'all.example:3128' }, 'https://a.example/', 'http://all.example:3128/'],
  ['an empty value', { https_proxy: ' ' }, 'https://a.example/', undefined],
  ['no_proxy: a domain', { ...BOTH, no_proxy: 'x, a.example' }, 'https://b.a.example/', undefined],
  ['no_proxy: with a dot', { ...BOTH, NO_PROXY: '.a.example' }, 'https://a.example/', undefined],
  ['no_proxy: another domain that ends so', { ...BOTH, no_proxy: 'a.example' }, 'https://ba.example/', 'http://s.example:2/'],
  ['no_proxy: all', { ...BOTH, no_proxy: '*' }, 'https://a.example/', undefined],
  ['no_proxy: another port', { ...BOTH, no_proxy: 'a.example:8443' }, 'https://a.example/', 'http://s.example:2/'],
  ['no_proxy: the port', { ...BOTH, no_proxy: 'a.example:443' }, 'https://a.example/', undefined],
  ['no_proxy: a network', { ...BOTH, no_proxy: '10.0.0.0/8' }, 'http://10.1.2.3/', undefined],
  ['no_proxy: another network', { ...BOTH, no_proxy: '10.0.0.0/8,nonsense/99,::1' }, 'http://11.1.2.3/', 'http://p.example:1/'],
  ['no_proxy: an IPv6 address', { ...BOTH, no_proxy: '[::1]:80' }, 'http://[::1]/', undefined],
])('the proxy of the environment: %s', (_, env, url, wanted) => {
  expect(proxyFor(proxiesIn(env), new URL(url))?.href).toBe(wanted)
})

test.each(['socks5://p.example', 'http://', 'http://u%:p@x.example'])('a proxy that is none is refused without telling its password: %s', (value) => {
  expect(() => proxiesIn({ HTTPS_PROXY: value })).toThrow(/^HTTPS_PROXY in the environment wants the http or https address of a proxy$/)
})

describe('requests', () => {
  let proxy: TestProxy
  let plain: TestUpstream
  let secure: Server
  beforeAll(async () => {
    proxy = await TestProxy.start()
    plain = await TestUpstream.start()
    plain.on('/x?q=1', text('plain'))
    secure = createServer({ cert: TEST_CERTIFICATE, key: TEST_KEY }, (_request, response) => void response.end('secure'))
    secure.listen(0, '127.0.0.1')
    await once(secure, 'listening')
  })
  afterAll(async () => {
    secure.close()
    secure.closeAllConnections()
    await Promise.all([proxy[Symbol.asyncDispose](), plain[Symbol.asyncDispose]()])
  })
  beforeEach(() => { proxy.asked.length = 0 })

  function portOf(server: Server): number {
    return (server.address() as AddressInfo).port
  }

  async function ask(url: string, more: Partial<UpstreamClientInput>): Promise<string> {
    using client = new UpstreamClient({ hosts: new TargetHosts(['127.0.0.1', 'localhost']), userAgent: 'test', now: () => 0, idleTimeoutMs: 5000, ...more })
    const upstream = { url: new URL(url), credentials: { username: 'up', password: 'stream' } }
    return await textOf((await client.open({ upstream, url: new URL(url), signal: AbortSignal.timeout(5000) })).body)
  }

  function through(user = ''): ProxySettings {
    const url = `http://${user}${proxy.address}`
    return { http: url, https: url, except: ['localhost'] }
  }

  test('for plain addresses name them in full to the proxy, which gets its password and the upstream its own', async () => {
    const { port } = new URL(plain.origin)
    expect(await ask(`http://upstream.example:${port}/x?q=1`, { proxies: through('me:s%40e@') })).toBe('plain')
    const authorization = `Basic ${Buffer.from('me:s@e').toString('base64')}`
    expect(proxy.asked).toEqual([{ method: 'GET', target: `http://upstream.example:${port}/x?q=1`, authorization }])
    expect(plain.asked.at(-1)?.headers).toMatchObject({ host: `upstream.example:${port}`, authorization: `Basic ${Buffer.from('up:stream').toString('base64')}` })
  })

  test('for secure ones go through a tunnel, and the certificate is that of the upstream', async () => {
    const url = `https://upstream.example:${portOf(secure)}/`
    expect(await ask(url, { proxies: through('me:s@'), ca: TEST_CERTIFICATE })).toBe('secure')
    expect(proxy.asked).toEqual([{ method: 'CONNECT', target: new URL(url).host, authorization: `Basic ${Buffer.from('me:s').toString('base64')}` }])
    await expect(ask(url.replace('upstream', 'other'), { proxies: through(), ca: TEST_CERTIFICATE })).rejects.toThrow(/ALTNAME/)
    await expect(ask(url, { proxies: through() })).rejects.toThrow(/SELF_SIGNED/)
  })

  test('that the proxy refuses, or that it cannot be reached for, fail in a sentence without passwords', async () => {
    proxy.refusal = 407
    await expect(ask(`https://upstream.example:${portOf(secure)}/`, { proxies: through('me:secret@') })).rejects.toThrow(/^upstream\.example:\d+ could not be reached \(the proxy answered 407\)$/)
    proxy.refusal = undefined
    await expect(ask('https://upstream.example/', { proxies: { https: 'http://me:secret@127.0.0.1:1', except: [] } })).rejects.toThrow(/^upstream\.example could not be reached \(ECONNREFUSED\)$/)
  })

  test('to excepted hosts, and to addresses of private networks, never reach it', async () => {
    expect(await ask(`https://localhost:${portOf(secure)}/`, { proxies: through(), ca: TEST_CERTIFICATE })).toBe('secure')
    await expect(ask('http://10.0.0.1/', { proxies: through() })).rejects.toThrow(/private network/)
    expect(proxy.asked).toEqual([])
  })
})

test('a bundle of certificate authorities is a file of certificates, or the server does not start', async () => {
  expect([caBundleIn({}), caBundleIn({ CURL_CA_BUNDLE: '/c', REQUESTS_CA_BUNDLE: '/r' }), caBundleIn({ CURL_CA_BUNDLE: '/c' })]).toEqual([undefined, '/r', '/c'])
  const folder = await mkdtemp(join(tmpdir(), 'devpi-ca-'))
  const path = join(folder, 'ca.pem')
  await expect(readCaBundle(path)).rejects.toThrow(/no readable file of PEM certificates/)
  await writeFile(path, 'x')
  await expect(readCaBundle(path)).rejects.toThrow(/no readable file of PEM certificates/)
  await writeFile(path, TEST_CERTIFICATE)
  expect(await readCaBundle(path)).toBe(TEST_CERTIFICATE)
  await rm(folder, { recursive: true })
})
