import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect, createServer as createNetServer, type Socket } from 'node:net'
import { proxyFor } from '#cli/proxy.js'
import { listen, plain } from './listening.js'
import { DevpiHome } from './run-devpi.js'

let home: DevpiHome
beforeEach(async () => {
  home = await DevpiHome.open()
})
afterEach(() => home[Symbol.asyncDispose]())

/** Just enough of a server for `use`, `login` and `getjson`. */
function devpi(scheme = 'http'): RequestListener {
  return (req, res) => {
    const root = `${scheme}://${req.headers.host ?? ''}`
    const answers: Readonly<Record<string, object>> = {
      '/+api': { type: 'apiconfig', result: { login: `${root}/+login`, authstatus: ['ok', 'ada', []], features: [] } },
      '/+login': { type: 'proxyauth', result: { password: 'the-token', expiration: 36000 } },
      '/x': { type: 'x', result: 1 },
    }
    const answer = answers[req.url ?? '']
    res.writeHead(answer === undefined ? 404 : 200, { 'Content-Type': 'application/json; charset=utf-8', 'X-DEVPI-API-VERSION': '2' })
    res.end(JSON.stringify(answer ?? { message: 'not here' }))
  }
}

test('a login goes to its own server alone', async () => {
  await using server = await listen(plain, devpi())
  await using other = await listen(plain, devpi())
  await home.succeed(`use ${server.url}`)
  await home.succeed('login ada --password=x')
  await home.succeed('getjson /x')
  expect(server.seen.at(-1)?.headers['x-devpi-auth']).toBe(Buffer.from('ada:the-token').toString('base64'))
  await home.succeed(`getjson ${other.url}/x`)
  await home.run(`getjson ${other.url}/x`, { env: { DEVPI_TOKEN: 'devpi_secret' } })
  expect(other.seen.map(({ headers }) => [headers['x-devpi-auth'], headers.authorization])).toEqual([[undefined, undefined], [undefined, undefined]])
  expect((await home.run('remove -y http://127.0.0.1:1/x')).code).toBe(1)
})

test('nor does a redirect take it along', async () => {
  await using other = await listen(plain, devpi())
  await using server = await listen(plain, (req, res) => {
    if (req.url === '/y') res.writeHead(302, { Location: `${other.url}/x` }).end()
    else devpi()(req, res)
  })
  await home.succeed(`use ${server.url}`)
  await home.succeed('login ada --password=x')
  await home.succeed('getjson /y')
  expect(other.seen[0]?.headers['x-devpi-auth']).toBeUndefined()
})

test('a change that is redirected to another host is not sent there, one on the same host keeps its method', async () => {
  await using server = await listen(plain, (req, res) => {
    if (req.url === '/y') res.writeHead(301, { Location: 'http://localhost:1/y' }).end()
    else if (req.url === '/z') res.writeHead(301, { Location: '/x' }).end()
    else devpi()(req, res)
  })
  await home.succeed(`use ${server.url}`)
  expect(await home.run('patchjson /y -', { input: '{"a": 1}' })).toMatchObject({
    code: 1,
    err: [`PATCH ${server.url}/y is redirected to http://localhost:1/y`, 'select that server with `devpi use http://localhost:1`'],
  })
  await home.succeed('patchjson /z -', { input: '{"a": 1}' })
  expect(server.seen.slice(-2).map(({ method, url }) => [method, url])).toEqual([['PATCH', '/z'], ['PATCH', '/x']])
})

test('what changes nothing is asked again after a passing fault, a change is not', async () => {
  let faults = 1
  await using server = await listen(plain, (req, res) => {
    if (req.url === '/x' && faults-- > 0) res.writeHead(503, { 'Retry-After': '0' }).end()
    else devpi()(req, res)
  })
  await home.succeed(`use ${server.url}`)
  await home.succeed('getjson /x')
  faults = 1
  expect((await home.run('patchjson /x -', { input: '{}' })).err).toEqual([`PATCH ${server.url}/x`, '503 Service Unavailable'])
})

test('a server that speaks another version, or none', async () => {
  await using future = await listen(plain, (_req, res) => res.writeHead(200, { 'X-DEVPI-API-VERSION': '3', 'Content-Type': 'application/json' }).end('{}'))
  expect((await home.run(`use ${future.url}`)).err[0]).toMatch(/^devpi-client-\S+ got a reply with API-VERSION 3, acceptable are: 2$/)
  await using silent = await listen(plain, (_req, res) => void res.socket?.setNoDelay())
  expect((await home.run(`use ${silent.url} --timeout 0.2`)).err.at(-1)).toMatch(/does not answer in time/)
})

test('an interruption ends a request that waits, with 130', async () => {
  const stop = new AbortController()
  await using silent = await listen(plain, () => stop.abort())
  expect(await home.run(`use ${silent.url}`, { interrupted: stop.signal })).toMatchObject({ code: 130, err: ['interrupted'] })
  const later = new AbortController()
  later.abort()
  expect(await home.run(`use ${silent.url} --json`, { interrupted: later.signal })).toMatchObject({ code: 130, json: { error: { code: 'CANCELLED' } } })
})

test('credentials for a proxy in front are sent, and never printed', async () => {
  await using server = await listen(plain, devpi())
  const ran = await home.run(`use http://gate:s3cret@127.0.0.1:${server.port}/ --debug`)
  expect(ran.code).toBe(0)
  expect(server.seen.at(-1)?.headers.authorization).toBe(`Basic ${Buffer.from('gate:s3cret').toString('base64')}`)
  await home.succeed(`use http://127.0.0.1:${server.port}`)
  expect(server.seen.at(-1)?.headers.authorization).toBeDefined()
  const refused = await home.run(`use http://gate:s3cret@127.0.0.1:1/ --debug`)
  expect(refused.code).toBe(1)
  expect([...ran.out, ...ran.err, ...refused.out, ...refused.err].join('\n')).not.toContain('s3cret')
})

test('plain requests go through a proxy', async () => {
  await using server = await listen(plain, devpi())
  await using proxy = await listen(plain, (req, res) => {
    req.url = new URL(req.url ?? '').pathname
    devpi()(req, res)
  })
  const env = { http_proxy: `http://me:pw@127.0.0.1:${proxy.port}` }
  expect((await home.run(`use http://pkgs.invalid`, { env })).out[0]).toBe('using server: http://pkgs.invalid/ (not logged in)')
  expect(proxy.seen[0]?.headers['proxy-authorization']).toBe(`Basic ${Buffer.from('me:pw').toString('base64')}`)
  await home.run(`use ${server.url}`, { env: { ...env, no_proxy: '127.0.0.1' } })
  expect(server.seen).toHaveLength(1)
})

test.each<[string, string, RegExp]>([
  ['another protocol', 'SSH-2.0-OpenSSH\r\n', /speaks no HTTP: is that the right port\?$/],
  ['nothing', '', /ends the connection without an answer/],
  ['a place that is none', 'HTTP/1.1 302 Found\r\nLocation: http://[::\r\nContent-Length: 0\r\n\r\n', /redirects to 'http:\/\/\[::', which is no address$/],
  ['a redirect in circles', 'HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n', /redirects in circles$/],
])('what answers with %s is told of', async (_name, answer, hint) => {
  const server = createNetServer((socket) => socket.on('error', () => undefined).once('data', () => socket.end(answer)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  await using strange = await DevpiHome.open()
  const { code, err } = await strange.run(`use http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  expect([code, err.at(-1)]).toEqual([1, expect.stringMatching(hint)])
  await new Promise((resolve) => server.close(resolve))
})

test('a certificate is checked, against an authority of its own if told, through a tunnel too', async () => {
  const [key, cert] = [home.path('key.pem'), home.path('cert.pem')]
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert], { stdio: 'ignore' })
  const pems = { key: readFileSync(key), cert: readFileSync(cert) }
  await using server = await listen((listener) => createTlsServer(pems, listener), devpi('https'))
  const url = `https://localhost:${server.port}/`
  const refused = await home.run(`use ${url}`)
  expect(refused.code).toBe(1)
  expect(refused.err[0]).toBe(`SSL verification failed '${url}+api':`)
  expect(refused.err.at(-1)).toBe(`trust its authority with \`devpi use --ca-cert FILE ${url.slice(0, -1)}\``)
  expect((await home.run(`use ${url}`, { env: { REQUESTS_CA_BUNDLE: cert } })).code).toBe(0)
  await home.succeed(`use --ca-cert cert.pem ${url}`)
  expect((await home.succeed('use'))[0]).toBe(`using server: ${url} (not logged in)`)

  await using tunnel = await startTunnel(server.port)
  expect((await home.run('getjson /x', { env: { https_proxy: tunnel.url, no_proxy: '' } })).code).toBe(0)
  expect(tunnel.asked).toEqual([`localhost:${server.port}`])
  await using strange = await DevpiHome.open()
  await strange.succeed(`use --insecure ${url}`)
  expect((await home.run('use --ca-cert missing.pem https://localhost:1/')).err).toEqual([`The CA certificate at '${home.path('missing.pem')}' doesn't exist.`])
  expect((await strange.run(`use --ca-cert ${key} https://localhost:1/`)).err).toEqual([`The CA certificate at '${key}' holds no certificate in PEM form.`])
  expect((await strange.run(`use --client-cert ${cert} https://localhost:2/`)).err).toEqual([`The client certificate at '${cert}' holds no private key in PEM form.`])

  const byNumber = url.replace('localhost', '127.0.0.1')
  expect(await strange.run(`use --ca-cert ${cert} ${byNumber}`)).toMatchObject({ code: 1, err: [expect.stringContaining('SSL verification failed'), expect.any(String), 'the certificate is not for 127.0.0.1: use a name that it is for'] })
  expect((await strange.run(`use ${url.replace('https', 'http')}`)).err.at(-1)).toContain('does it want https?')
  await using other = await listen(plain, devpi('http'))
  const { err } = await strange.run(`use ${other.url.replace('http', 'https')}`)
  expect(err.slice(1)).toEqual(['write EPROTO SSL routines: wrong version number', `does the server speak https? try \`devpi use ${other.url}\``])
})

test('a server that asks for a certificate of its clients gets the one that is stored for it, until that is forgotten', async () => {
  const [key, cert] = [home.path('key.pem'), home.path('cert.pem')]
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert], { stdio: 'ignore' })
  const pems = { key: readFileSync(key), cert: readFileSync(cert) }
  writeFileSync(home.path('both.pem'), `${pems.cert.toString()}${pems.key.toString()}`)
  await using server = await listen((listener) => createTlsServer({ ...pems, ca: pems.cert, requestCert: true, rejectUnauthorized: true }, listener), devpi('https'))
  const url = `https://localhost:${server.port}/`
  expect((await home.run(`use --ca-cert cert.pem ${url}`)).code).toBe(1)
  await home.succeed(`use --client-cert both.pem ${url}`)
  await home.succeed('getjson /x')
  expect((await home.run(`use --client-cert= ${url}`)).code).toBe(1)
  expect((await home.run(`use --client-cert missing.pem ${url}`)).err).toEqual([`The client certificate at '${home.path('missing.pem')}' doesn't exist.`])
})

test('what is not what the index announces is neither kept nor tested', async () => {
  const root = (host: string | undefined): string => `http://${host ?? ''}`
  await using server = await listen(plain, (req, res) => {
    const place = root(req.headers.host)
    const answers: Readonly<Record<string, object>> = {
      '/ada/dev/+api': { type: 'apiconfig', result: { login: `${place}/+login`, index: `${place}/ada/dev`, simpleindex: `${place}/ada/dev/+simple/`, features: [] } },
      '/ada/dev/kite/': { type: 'projectconfig', result: { '1.0': { version: '1.0', '+links': [{ rel: 'releasefile', href: `${place}/f/kite-1.0.tar.gz`, hash_spec: `sha256=${'0'.repeat(64)}` }] } } },
    }
    res.writeHead(200, { 'Content-Type': 'application/json', 'X-DEVPI-API-VERSION': '2' }).end(JSON.stringify(answers[req.url ?? ''] ?? {}))
  })
  const ran = await home.run(`test --index ${server.url}/ada/dev kite`)
  expect(ran).toMatchObject({ code: 1, err: [expect.stringMatching(/^http\S+kite-1.0.tar.gz has other contents than the index announces: sha256 [0-9a-f]{64}, not 0{64}$/)] })
  expect(existsSync(ran.out[0]?.replace('using workdir ', '') ?? '/')).toBe(false)
})

test.each<[string, NodeJS.ProcessEnv, string | undefined]>([
  ['http://h/', {}, undefined],
  ['http://h/', { HTTP_PROXY: 'http://p:1' }, 'http://p:1/'],
  ['https://h/', { HTTP_PROXY: 'http://p:1' }, undefined],
  ['https://h/', { ALL_PROXY: 'p:1' }, 'http://p:1/'],
  ['https://h/', { https_proxy: 'http://lower:1', HTTPS_PROXY: 'http://upper:1' }, 'http://lower:1/'],
  ['http://a.h/', { http_proxy: 'http://p:1', no_proxy: 'x, .h' }, undefined],
  ['http://h/', { http_proxy: 'http://p:1', no_proxy: '*' }, undefined],
  ['http://h:81/', { http_proxy: 'http://p:1', no_proxy: 'h:80' }, 'http://p:1/'],
  ['http://other/', { http_proxy: 'http://p:1', no_proxy: 'er' }, 'http://p:1/'],
])('the proxy of %s with %j', (url, env, wanted) => expect(proxyFor(url, env)?.href).toBe(wanted))

interface Tunnel extends AsyncDisposable {
  readonly url: string
  readonly asked: readonly string[]
}

async function startTunnel(port: number): Promise<Tunnel> {
  const asked: string[] = []
  const sockets: Socket[] = []
  const server = createServer().on('connect', (req, socket: Socket) => {
    asked.push(req.url ?? '')
    const target = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      socket.pipe(target).pipe(socket)
    })
    sockets.push(socket, target)
    for (const one of [socket, target]) one.on('error', () => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
