import { createHash } from 'node:crypto'
import { keys } from '#log-format/keys.js'
import { linksAt } from '#server/commands/files.js'
import { metadataText, type ReleaseFile, sdist, wheel } from '#test/support/archives.js'
import { filePathOf, startUploadServer, type UploadServer, uploadTo } from './upload-server.js'

let server: UploadServer
beforeAll(async () => {
  server = await startUploadServer()
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  expect(server.faults).toEqual([])
})

const JSON_WANTED = { headers: { Accept: 'application/json' } }

/** Uploads a file of a project of its own; the path it can be had at. */
async function published(project: string, index = 'dev', file: ReleaseFile = wheel(project, '1.0')): Promise<string> {
  expect((await uploadTo(server, index, project, '1.0', file)).status).toBe(200)
  return filePathOf(index, file)
}

async function messageOf(reply: Response): Promise<string> {
  return ((await reply.json()) as { message: string }).message
}

describe('reading', () => {
  test.each([
    ['a wheel', wheel('served', '1.0'), 'application/octet-stream'],
    ['an sdist', sdist('served', '1.0'), 'application/gzip'],
    ['a large file', wheel('served', '1.0', { tag: 'py3-none-large', padding: 400_000 }), 'application/octet-stream'],
  ])('%s: GET, HEAD, a range, a condition', async (_, file, type) => {
    const path = await published('served', 'dev', file)
    const etag = `"${createHash('sha256').update(file.bytes).digest('hex')}"`
    for (const spelled of [path, path.replace('+f', '%2Bf'), `${path}/`, `${path}%23sha256=${etag.slice(1, -1)}`]) {
      const reply = await server.fetch(spelled)
      expect(reply.status).toBe(200)
      expect(Object.fromEntries(reply.headers)).toMatchObject({
        'content-type': type,
        'content-length': String(file.bytes.length),
        'cache-control': 'max-age=365000000, immutable, public',
        'x-devpi-serial': String(server.head()),
        etag,
      })
      expect(reply.headers.get('last-modified')).toMatch(/GMT$/)
      expect(reply.headers.has('content-encoding')).toBe(false)
      expect(Buffer.from(await reply.arrayBuffer()).equals(file.bytes)).toBe(true)
    }
    const head = await server.fetch(path, { method: 'HEAD' })
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, String(file.bytes.length), ''])
    const range = await server.fetch(path, { headers: { Range: 'bytes=2-5' } })
    expect([range.status, Buffer.from(await range.arrayBuffer())]).toEqual([206, file.bytes.subarray(2, 6)])
    expect((await server.fetch(path, { headers: { 'If-None-Match': etag } })).status).toBe(304)
  })

  test('metadata of a wheel lies beside it (PEP 658), none beside an sdist', async () => {
    const path = await published('besides')
    for (const headers of [{ Accept: '*/*' }, { Accept: 'application/json' }]) {
      const reply = await server.fetch(`${path}.metadata`, { headers })
      expect([reply.status, reply.headers.get('content-type')]).toEqual([200, 'text/plain; charset=utf-8'])
      expect(await reply.text()).toBe(metadataText('besides', '1.0'))
    }
    const source = await published('besides', 'dev', sdist('besides', '1.0'))
    expect((await server.fetch(`${source}.metadata`)).status).toBe(404)
  })

  test('who accepts JSON gets the record of the file', async () => {
    const path = await published('record')
    const reply = await server.fetch(path, JSON_WANTED)
    expect(reply.headers.get('content-type')).toBe('application/json')
    const sha256 = createHash('sha256').update(wheel('record', '1.0').bytes).digest('hex')
    const result = { hash_spec: `sha256=${sha256}`, hashes: { sha256 }, project: 'record', version: '1.0' }
    expect(await reply.json()).toEqual({ type: 'releasefilemeta', result: { ...result, last_modified: expect.stringMatching(/GMT$/) } })
  })

  test.each([
    ['an unknown file', '/nina/dev/+f/abc/0123456789abc/x-1.0.zip'],
    ['an unknown index', '/nina/nope/+f/abc/0123456789abc/x-1.0.zip'],
    ['an unknown user', '/nobody/dev/+f/abc/0123456789abc/x-1.0.zip'],
    ['metadata of an unknown file', '/nina/dev/+f/abc/0123456789abc/x-1.0-py3-none-any.whl.metadata'],
    ['nothing but .metadata', '/nina/dev/+f/abc/0123456789abc/.metadata'],
    ['a path too short', '/nina/dev/+f/abc/x-1.0.zip'],
    ['a path too long', '/nina/dev/+f/abc/0123456789abc/more/x-1.0.zip'],
    ['an empty part', '/nina/dev/+f/abc//x-1.0.zip'],
    ['a slash in a name', '/nina/dev/+f/abc/0123456789abc/..%2fx-1.0.zip'],
    ['a zero byte', '/nina/dev/+f/abc/0123456789abc/x%00.zip'],
    ['a mirrored file without hash', '/nina/dev/+e/https_files.example/x-1.0.zip'],
  ])('%s is not found', async (_, path) => {
    for (const method of ['GET', 'HEAD', 'DELETE', 'POST', 'PATCH']) {
      const body = method === 'POST' || method === 'PATCH' ? { body: '{"yanked": true}' } : {}
      expect((await server.as('nina')(path, { method, ...body })).status).toBe(404)
    }
    expect(await messageOf(await server.fetch(path, JSON_WANTED))).toBe('no such file')
  })

  test('a removed or replaced file is gone, and so is its metadata', async () => {
    const first = await published('replaced')
    await published('replaced', 'dev', wheel('replaced', '1.0', { padding: 5 }))
    for (const path of [first, `${first}.metadata`]) {
      const reply = await server.fetch(path, JSON_WANTED)
      expect([reply.status, await messageOf(reply)]).toEqual([410, 'file existed, deleted in later serial'])
    }
  })

  test('other methods are refused by name', async () => {
    const reply = await server.as('nina')(await published('methods'), { method: 'PUT' })
    expect([reply.status, reply.headers.get('allow')]).toEqual([405, 'GET, HEAD, POST, PATCH, DELETE'])
  })

  test('a file whose blob is missing is not found, with no promise made before', async () => {
    const file = wheel('lost', '1.0')
    const path = await published('lost', 'dev', file)
    await server.deps.blobs.delete(createHash('sha256').update(file.bytes).digest('hex'))
    const reply = await server.fetch(path)
    expect([reply.status, reply.headers.get('etag')]).toEqual([404, null])
  })
})

test('of a private index nothing is revealed to who may not read it', async () => {
  const path = await published('secret', 'private')
  const unknown = path.replace('/+f/', '/+f/0')
  for (const asked of [path, `${path}.metadata`, unknown]) {
    for (const headers of [{}, { Accept: 'application/json' }]) {
      for (const method of ['GET', 'HEAD', 'POST']) {
        const reply = await server.fetch(asked, { method, headers })
        expect([reply.status, reply.headers.get('etag')]).toEqual([401, null])
      }
    }
  }
  const served = await server.as('bob')(path)
  expect([served.status, served.headers.get('cache-control')]).toEqual([200, 'max-age=365000000, immutable, private'])
})

describe('removing', () => {
  const remove = (path: string, user = 'nina'): Promise<Response> => server.as(user)(path, { method: 'DELETE', ...JSON_WANTED })

  test('the last file takes version and project with it; the second time it is gone', async () => {
    const path = await published('removed')
    const reply = await remove(path)
    expect([reply.status, await messageOf(reply)]).toEqual([200, `package '${path.slice(1)}' deleted`])
    expect(await server.deps.storage.reader().get(keys.project({ user: 'nina', index: 'dev', project: 'removed' }))).toBeUndefined()
    const again = await remove(path)
    expect([again.status, await messageOf(again)]).toEqual([410, `file '${path.slice(1)}' existed, deleted in later serial`])
  })

  test.each<[string, string, string, number, string]>([
    ['somebody else', 'dev', 'bob', 403, 'Access was denied to this resource.'],
    ['the owner of an index that is not volatile', 'prod', 'nina', 403, 'cannot delete version on non-volatile index'],
  ])('%s is refused', async (_, index, user, status, message) => {
    const path = await published('kept', index)
    const head = server.head()
    const reply = await remove(path, user)
    expect([reply.status, await messageOf(reply)]).toEqual([status, message])
    expect(server.head()).toBe(head)
  })

  test('unless it is forced', async () => {
    expect((await remove(`${await published('forced', 'prod')}?force`)).status).toBe(200)
  })
})

describe('yanking (PEP 592)', () => {
  const patch = (path: string, body: string, user = 'nina'): Promise<Response> => server.as(user)(path, { method: 'PATCH', body })

  async function yankedOf(path: string): Promise<string | undefined> {
    const [user = '', index = '', , dirA = '', dirB = '', basename = ''] = path.slice(1).split('/')
    const reader = server.deps.storage.reader()
    const ref = { user, index, dirA, dirB, basename }
    const file = await reader.get(keys.file(ref))
    return file && (await linksAt(reader, ref, file))[0]?.link.yanked
  }

  test('with a reason, without one, and back', async () => {
    const path = await published('yanked', 'prod')
    for (const [body, wanted] of [['{"yanked": true}', ''], ['{"yanked": "broken"}', 'broken'], ['{"yanked": false}', undefined]] as const) {
      expect((await patch(path, body)).status).toBe(200)
      expect(await yankedOf(path)).toBe(wanted)
    }
  })

  test.each<[string, string, string, number]>([
    ['no JSON', '{nope', 'nina', 400],
    ['no object', '[]', 'nina', 400],
    ['nothing said', '{}', 'nina', 400],
    ['a number', '{"yanked": 1}', 'nina', 400],
    ['something else', '{"yanked": true, "size": 1}', 'nina', 400],
    ['a reason that is an essay', JSON.stringify({ yanked: 'x'.repeat(1001) }), 'nina', 400],
    ['somebody else', '{"yanked": true}', 'bob', 403],
  ])('%s is refused', async (_, body, user, status) => {
    const path = await published('unyanked')
    const head = server.head()
    expect((await patch(path, body, user)).status).toBe(status)
    expect(server.head()).toBe(head)
  })
})

test('a file as of a serial: absent before it came, present after, also once it is removed', async () => {
  const before = server.head()
  const path = await published('past')
  const serial = server.head()
  await server.as('nina')(path, { method: 'DELETE' })
  const at = (past: number): string => path.replace('/+f/', `/+at/${past}/+f/`)
  expect((await server.fetch(path)).status).toBe(410)
  expect((await server.fetch(at(before))).status).toBe(404)
  const reply = await server.fetch(at(serial))
  expect([reply.status, reply.headers.get('x-devpi-serial')]).toEqual([200, String(serial)])
  expect((await server.fetch(`${at(serial)}.metadata`)).status).toBe(200)
})
