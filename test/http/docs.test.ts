import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { noise, wheel } from '#test/support/archives.js'
import { docsUpload, pages } from '#test/support/docs.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { zip, type ZipEntry } from '#test/support/zip-builder.js'

let server: TestServer
let alice: TestUser
let bob: TestUser
beforeAll(async () => {
  server = await startServer()
  bob = await server.signUp('bob')
  alice = await server.signUp('alice', {
    dev: {},
    prod: { volatile: false },
    inheriting: { bases: ['alice/dev'] },
    secret: { acl_read: ['bob'] },
    members: { acl_read: [':AUTHENTICATED:'] },
    open: { acl_read: [':ANONYMOUS:'] },
  })
})
afterAll(async () => {
  expect(faults()).toEqual([])
  await server[Symbol.asyncDispose]()
})

function faults(): string[] {
  return server.log.filter((line) => line.includes('a request failed'))
}

/** Uploads, and tells where the documentation is. */
async function published(project: string, version: string, entries: readonly ZipEntry[], index = 'dev'): Promise<string> {
  expect((await alice.upload(index, docsUpload(project, version, zip(entries)))).status).toBe(200)
  return `/alice/${index}/${project}/${version}/+doc`
}

async function messageAt(path: string, user?: TestUser): Promise<[number, string]> {
  const init = { headers: { Accept: 'application/json' } }
  const reply = await (user === undefined ? server.fetch(path, init) : user.fetch(path, init))
  return [reply.status, ((await reply.json()) as { message: string }).message]
}

async function bodyAt(path: string): Promise<string> {
  const reply = await server.fetch(path)
  expect(reply.status).toBe(200)
  return await reply.text()
}

async function leadsTo(path: string, wanted: string): Promise<void> {
  const reply = await server.fetch(path)
  expect([reply.status, reply.headers.get('location')]).toEqual([302, server.url + wanted])
}

describe('a file of a documentation', () => {
  const STYLE = 'body { color: red } /* ä */'
  const LARGE = noise(700_000)
  const PACKED = Buffer.from('lorem ipsum '.repeat(50_000) + noise(20_000).toString('hex'))
  let docs = ''
  let archive: Buffer
  beforeAll(async () => {
    const entries: ZipEntry[] = [
      ...pages({ 'index.html': '<h1>read me</h1>', '_static/style.css': STYLE, 'objects.inv': noise(50), 'empty.txt': '', 'packed.txt': PACKED }),
      { name: 'stored.bin', bytes: LARGE, stored: true },
      { name: 'streamed.html', bytes: Buffer.from('to a pipe'), streamed: true },
      { name: 'streamed.bin', bytes: LARGE, stored: true, streamed: true },
      ...pages({ ['__proto__']: 'p', 'constructor': 'c', 'std:a b+c%.html': 'odd', 'ä/ü.html': 'umlauts', 'x#y?.html': 'reserved' }),
      { name: './dotted/index.html', bytes: Buffer.from('dotted') },
    ]
    archive = zip(entries)
    docs = await published('pages', '1.0', entries)
  })

  test.each<[string, string | Buffer, string]>([
    ['index.html', '<h1>read me</h1>', 'text/html; charset=utf-8'],
    ['_static/style.css', STYLE, 'text/css; charset=utf-8'],
    ['objects.inv', noise(50), 'application/octet-stream'],
    ['empty.txt', '', 'text/plain; charset=utf-8'],
    ['packed.txt', PACKED, 'text/plain; charset=utf-8'],
    ['stored.bin', LARGE, 'application/octet-stream'],
    ['streamed.html', 'to a pipe', 'text/html; charset=utf-8'],
    ['streamed.bin', LARGE, 'application/octet-stream'],
    ['__proto__', 'p', 'application/octet-stream'],
    ['constructor', 'c', 'application/octet-stream'],
    ['std:a%20b+c%25.html', 'odd', 'text/html; charset=utf-8'],
    ['std:a%20b%2Bc%25.html', 'odd', 'text/html; charset=utf-8'],
    ['%C3%A4/%C3%BC.html', 'umlauts', 'text/html; charset=utf-8'],
    ['x%23y%3F.html', 'reserved', 'text/html; charset=utf-8'],
    ['dotted/', 'dotted', 'text/html; charset=utf-8'],
  ])('%s', async (path, content, type) => {
    for (const place of ['+doc', '+d', '%2Bdoc']) {
      const url = `${docs.replace('+doc', place)}/${path}`
      const reply = await server.fetch(url)
      expect(reply.status).toBe(200)
      expect(Buffer.from(await reply.arrayBuffer()).equals(Buffer.from(content))).toBe(true)
      const headers = Object.fromEntries(reply.headers)
      expect(headers).toMatchObject({
        'content-type': type,
        'content-length': String(Buffer.byteLength(content)),
        'cache-control': 'max-age=60',
        'x-content-type-options': 'nosniff',
        'access-control-allow-origin': '*',
        'x-devpi-serial': String(server.head()),
      })
      expect(headers['content-security-policy']).toMatch(/^sandbox allow-scripts /)
      expect(headers['content-security-policy']).not.toContain('allow-same-origin')
      const head = await server.fetch(url, { method: 'HEAD' })
      expect([head.status, await head.text()]).toEqual([200, ''])
      for (const name of ['content-type', 'content-length', 'etag', 'content-security-policy']) expect(head.headers.get(name)).toBe(headers[name])
    }
  })

  test('is not sent to who has it, until there are other bytes', async () => {
    const path = `${docs}/_static/style.css`
    const etag = (await server.fetch(path)).headers.get('etag') ?? ''
    expect(etag).toMatch(new RegExp(`^"${createHash('sha256').update(archive).digest('hex').slice(0, 32)}-[0-9a-f]{8}"$`))
    for (const tags of [etag, `"x", W/${etag}`, '*']) {
      const reply = await server.fetch(path, { headers: { 'If-None-Match': tags } })
      expect([reply.status, reply.headers.get('etag'), reply.headers.get('cache-control')]).toEqual([304, etag, 'max-age=60'])
      expect(reply.headers.get('content-security-policy')).toMatch(/^sandbox/)
    }
    const other = (await server.fetch(`${docs}/index.html`)).headers.get('etag')
    expect(other).not.toBe(etag)
    await published('pages', '1.0', pages({ 'index.html': 'new', '_static/style.css': STYLE }))
    const reply = await server.fetch(path, { headers: { 'If-None-Match': etag } })
    expect([reply.status, await reply.text()]).toEqual([200, STYLE])
    expect(await bodyAt(`${docs}/index.html`)).toBe('new')
    expect((await alice.upload('dev', docsUpload('pages', '1.0', archive))).status).toBe(200)
  })

  test.each<[string, string]>([
    ['missing.html', 'missing.html'],
    ['_static', '_static'],
    ['_static/', '_static/'],
    ['index.html/', 'index.html/'],
    ['INDEX.html', 'INDEX.html'],
    ['toString', 'toString'],
    ['_static//style.css', '_static//style.css'],
    ['./index.html%00', './index.html\0'],
    ['..%2f..%2fetc%2fpasswd', '../../etc/passwd'],
    ['%2e%2e%2findex.html', '../index.html'],
  ])('%s is not found', async (path, named) => {
    // as it stands: fetch would take the dots out
    const [head = '', body = ''] = (await raw(`GET ${docs}/${path} HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nConnection: close\r\n\r\n`)).split('\r\n\r\n')
    expect(head).toMatch(/^HTTP\/1\.1 404 /)
    expect(JSON.parse(body)).toEqual({ message: `File ${named} not found in documentation.` })
  })

  test('other methods are refused by name', async () => {
    for (const path of [docs, `${docs}/`, `${docs}/index.html`]) {
      const reply = await alice.fetch(path, { method: 'DELETE' })
      expect([reply.status, reply.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
    }
  })
})

function raw(request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    let answer = ''
    socket.setEncoding('utf8')
    socket.on('data', (piece: string) => (answer += piece))
    socket.on('error', reject)
    socket.on('close', () => resolve(answer))
    socket.write(request)
  })
}

describe('addresses', () => {
  test('the top leads to its index, a folder to the slash behind it, another spelling to the normal one', async () => {
    const docs = await published('moved-here', '1.0', pages({ 'index.html': 'top', 'api/index.html': 'api', 'ä b/index.html': 'ä' }))
    for (const place of ['+doc', '+d']) {
      const top = docs.replace('+doc', place)
      await leadsTo(top, `${top}/index.html`)
      await leadsTo(`${top}/`, `${top}/index.html`)
      await leadsTo(`${top}/?q=1`, `${top}/index.html?q=1`)
      await leadsTo(`${top}/api?q=1`, `${top}/api/?q=1`)
      await leadsTo(`${top}/%C3%A4%20b`, `${top}/%C3%A4%20b/`)
      await leadsTo(`${top.replace('moved-here', 'Moved_Here')}/api/x?q=1`, `${top}/api/x?q=1`)
      await leadsTo(top.replace('moved-here', 'Moved_Here'), `${top}/`)
    }
    expect(await bodyAt(`${docs}/api/`)).toBe('api')
    expect(await bodyAt(`${docs}/%C3%A4%20b/`)).toBe('ä')
    expect(await bodyAt(`${docs.replace('1.0', '1.0.0')}/index.html`)).toBe('top') // PEP 440
  })

  test.each<[string, string, string]>([
    ['an unknown index', '/alice/nope/p/1.0/+doc/index.html', 'The stage alice/nope could not be found.'],
    ['a mirror', '/root/pypi/p/1.0/+doc/index.html', 'No documentation available.'],
    ['an unknown project', '/alice/dev/unknown/1.0/+doc/index.html', 'No documentation available.'],
    ['an unknown project, its top', '/alice/dev/unknown/1.0/+doc/', 'No documentation available.'],
    ['an unknown project, latest', '/alice/dev/unknown/latest/+d/', 'No documentation available.'],
    ['an unknown project, stable', '/alice/dev/unknown/stable/+d/', 'No stable documentation available.'],
  ])('%s has none', async (_, path, message) => {
    expect(await messageAt(path)).toEqual([404, message])
  })

  test('a zip without an index at its top can be had, but is no documentation', async () => {
    const docs = await published('topless', '1.0', pages({ 'html/index.html': 'deep' }))
    for (const path of ['', '/', '/html/', '/html/index.html']) expect(await messageAt(docs + path)).toEqual([404, 'No documentation available.'])
    expect((await server.fetch(await zipAt('topless', '1.0'))).status).toBe(200)
  })
})

test('latest and stable are the newest with documentation, of the index itself', async () => {
  const at = (version: string, index = 'dev'): string => `/alice/${index}/aged/${version}/+doc/index.html`
  await published('aged', '1.0', pages({ 'index.html': 'one' }))
  await published('aged', '1.2', pages({ 'readme.html': 'no index' }))
  await published('aged', '1.10', pages({ 'index.html': 'ten' }))
  await published('aged', '1.11', pages({ 'readme.html': 'no index' }))
  await published('aged', '2.0rc1', pages({ 'index.html': 'two soon' }))
  expect((await alice.upload('dev', { ...wheel('aged', '3.0') })).status).toBe(200)
  expect(await bodyAt(at('latest'))).toBe('two soon')
  expect(await bodyAt(at('stable'))).toBe('ten')
  await leadsTo('/alice/dev/aged/latest/+d/', '/alice/dev/aged/latest/+d/index.html')
  expect(await messageAt(at('3.0'))).toEqual([404, 'No documentation available.'])

  for (const version of ['latest', '1.0']) expect(await messageAt(at(version, 'inheriting'))).toEqual([404, 'No documentation available.'])

  await alice.delete('/alice/dev/aged/2.0rc1')
  await alice.delete('/alice/dev/aged/1.10')
  expect(await bodyAt(at('latest'))).toBe('one')
  await alice.delete('/alice/dev/aged/1.0')
  expect(await messageAt(at('stable'))).toEqual([404, 'No stable documentation available.'])
  expect(await messageAt(at('latest'))).toEqual([404, 'No documentation available.'])
})

/** Address of the zip itself, as the version tells it. */
async function zipAt(project: string, version: string, index = 'dev'): Promise<string> {
  const reply = await alice.get(`/alice/${index}/${project}/${version}`)
  const { result } = (await reply.json()) as { result: { '+links'?: { rel: string; href: string }[] } }
  const href = result['+links']?.find(({ rel }) => rel === 'doczip')?.href
  if (href === undefined) throw new Error('no documentation is listed')
  return new URL(href).pathname
}

test('goes with its version; the zip is gone too', async () => {
  const docs = await published('removed', '1.0', pages({ 'index.html': 'x' }))
  const archive = await zipAt('removed', '1.0')
  expect(Object.fromEntries((await server.fetch(archive)).headers)).toMatchObject({ 'content-type': 'application/zip' })
  expect((await alice.delete('/alice/dev/removed/1.0')).status).toBe(200)
  expect(await messageAt(`${docs}/index.html`)).toEqual([404, 'No documentation available.'])
  expect((await server.fetch(archive)).status).toBe(410)
})

test('is pushed along, alone, or not at all', async () => {
  await published('pushed', '1.0', pages({ 'index.html': 'pushed' }))
  await alice.upload('dev', wheel('pushed', '1.0'))
  const push = async (index: string, options: object): Promise<string[]> => {
    await alice.put(`/alice/${index}`, {})
    const reply = await alice.post('/alice/dev', { name: 'pushed', version: '1.0', targetindex: `alice/${index}`, ...options })
    return ((await reply.json()) as { result: [number, string][] }).result.map(([, action]) => action)
  }
  const at = (index: string): string => `/alice/${index}/pushed/1.0/+doc/index.html`
  expect(await push('all', {})).toEqual(['register', 'store_releasefile', 'store_doczip'])
  expect(await push('bare', { no_docs: true })).toEqual(['register', 'store_releasefile'])
  expect(await push('read', { only_docs: true })).toEqual(['register', 'store_doczip'])
  for (const index of ['all', 'read']) expect(await bodyAt(at(index))).toBe('pushed')
  expect(await messageAt(at('bare'))).toEqual([404, 'No documentation available.'])
})

describe('who may read', () => {
  test.each<[string, string, number, number]>([
    ['dev', 'public', 200, 200],
    ['open', 'public', 200, 200],
    ['members', 'private', 401, 200],
    ['secret', 'private', 401, 200],
  ])('%s', async (index, caching, anonymous, member) => {
    const docs = await published('read', '1.0', pages({ 'index.html': 'read', 'a/index.html': 'a' }), index)
    for (const path of ['/index.html', '/a', '/', '', '/missing']) {
      for (const version of ['1.0', 'latest', 'stable', '9.9']) {
        const url = docs.replace('1.0', version) + path
        if (anonymous !== 200) {
          for (const method of ['GET', 'HEAD']) {
            const reply = await server.fetch(url, { method, headers: { 'If-None-Match': '*' } })
            expect([reply.status, reply.headers.get('etag'), reply.headers.get('location')]).toEqual([anonymous, null, null])
          }
        }
      }
    }
    const reply = await bob.fetch(`${docs}/index.html`)
    expect([reply.status, reply.headers.get('cache-control')]).toEqual([member, caching === 'public' ? 'max-age=60' : 'private, max-age=60'])
    expect(reply.headers.get('access-control-allow-origin')).toBe(caching === 'public' ? '*' : null)
  })

  test('who is not on the list gets nothing, by no spelling', async () => {
    const carol = await server.signUp('carol')
    const docs = await published('hidden', '1.0', pages({ 'index.html': 'hidden' }), 'secret')
    for (const url of [docs, docs.replace('1.0', 'latest'), docs.replace('+doc', '%2bd'), docs.replace('1.0', 'v1.0.0')]) {
      expect(await messageAt(`${url}/index.html`, carol)).toEqual([403, 'package read forbidden'])
    }
  })
})

describe('an upload', () => {
  test.each<[string, Uint8Array, number, RegExp]>([
    ['no zip', noise(300), 400, /^the documentation is not a zip archive/],
    ['a link', zip([{ name: 'index.html', bytes: Buffer.from('/etc/passwd'), unixMode: 0o120777 }]), 400, /link or a device/],
    ['traversal', zip(pages({ '../index.html': 'x' })), 400, /unsafe name/],
    ['a bomb', zip([{ name: 'index.html', bytes: Buffer.alloc(9_000_000) }]), 413, /unpacks to more than 200 times its size$/],
    ['70,000 files', zip(Array.from({ length: 70_000 }, (_, at) => ({ name: `${at}`, bytes: Buffer.alloc(0), stored: true })), { zip64: true }), 413, /^the documentation has more than 50000 files$/],
  ])('of %s is refused, and nothing stays', async (_, archive, status, sentence) => {
    const head = server.head()
    const reply = await alice.upload('dev', docsUpload('hostile', '1.0', archive))
    expect([reply.status, reply.statusText]).toEqual([status, expect.stringMatching(sentence)])
    expect(server.head()).toBe(head)
    expect(await server.running.blobs.stat(createHash('sha256').update(archive).digest('hex'))).toBeUndefined()
  })

  test('replaces what is there, unless the index keeps it', async () => {
    const docs = await published('kept', '1.0', pages({ 'index.html': 'first' }), 'prod')
    expect((await alice.upload('prod', docsUpload('kept', '1.0', zip(pages({ 'index.html': 'second' }))))).status).toBe(409)
    expect((await alice.upload('prod', docsUpload('kept', '1.0', zip(pages({ 'index.html': 'first' }))))).status).toBe(200)
    expect(await bodyAt(`${docs}/index.html`)).toBe('first')
  })

  test('that a sandboxed page posts is refused: documentation cannot act for who reads it', async () => {
    const head = server.head()
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const reply = await alice.fetch('/alice/dev', { method, headers: { Origin: 'null' } })
      expect([reply.status, await reply.text()]).toEqual([403, expect.stringContaining('a page without an origin')])
    }
    expect(server.head()).toBe(head)
    expect((await alice.fetch('/alice/dev', { headers: { Origin: 'null', Accept: 'application/json' } })).status).toBe(200)
    expect((await alice.fetch('/alice/dev/', { method: 'POST', headers: { Origin: server.url } })).status).toBe(400)
  })
})
