import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { createBLAKE2b } from 'hash-wasm'
import { keys } from '#log-format/keys.js'
import { metadataText, noise, type ReleaseFile, sdist, wheel } from '#test/support/archives.js'
import { zip } from '#test/support/zip-builder.js'
import { startUploadServer, type UploadServer } from './upload-server.js'

const BOUNDARY = 'b0undary'
const TYPE = { 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}` }
const END = Buffer.from(`--${BOUNDARY}--\r\n`)

let server: UploadServer
beforeAll(async () => {
  server = await startUploadServer()
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  expect(server.faults).toEqual([])
})

function part(header: string, body: string | Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`--${BOUNDARY}\r\n${header}\r\n\r\n`), Buffer.from(body), Buffer.from('\r\n')])
}
function field(name: string, value: string): Buffer {
  return part(`Content-Disposition: form-data; name="${name}"`, value)
}
function content({ filename, bytes }: ReleaseFile): Buffer {
  return part(`Content-Disposition: form-data; name="content"; filename="${filename}"\r\nContent-Type: application/octet-stream`, bytes)
}

type FormFields = Readonly<Record<string, string>>

/** A form in the order of its parts. */
function form(fields: FormFields, file?: ReleaseFile): Buffer {
  const parts = Object.entries(fields).map(([name, value]) => field(name, value))
  return Buffer.concat([...parts, ...(file === undefined ? [] : [content(file)]), END])
}

function uploadFields(name: string, version: string): FormFields {
  return { ':action': 'file_upload', name, version }
}

function post(body: Uint8Array, { index = 'dev', user = 'nina' } = {}): Promise<Response> {
  return server.as(user)(`/nina/${index}/`, { method: 'POST', body, headers: TYPE })
}

async function metadataOf(index: string, project: string, version: string) {
  return server.deps.storage.reader().get(keys.metadata({ user: 'nina', index, project, version }))
}

async function linkOf(index: string, project: string, version: string, basename: string) {
  return server.deps.storage.reader().get(keys.link({ user: 'nina', index, project, version, basename }))
}

describe('forms as clients send them', () => {
  test('twine: digests, metadata, the file last', async () => {
    const file = wheel('Twine.Demo', '1.0', { metadata: { 'Requires-Python': '>=3.8', 'Requires-Dist': ['six', 'attrs'] } })
    const blake2 = await createBLAKE2b(256)
    const fields = {
      name: 'Twine.Demo',
      version: '1.0',
      filetype: 'bdist_wheel',
      pyversion: 'py3',
      metadata_version: '2.1',
      summary: 'a demo',
      requires_python: '>=3.8',
      comment: '',
      sha256_digest: createHash('sha256').update(file.bytes).digest('hex'),
      md5_digest: createHash('md5').update(file.bytes).digest('hex'),
      blake2_256_digest: blake2.init().update(file.bytes).digest(),
      ':action': 'file_upload',
      protocol_version: '1',
    }
    const reply = await post(form(fields, file))
    expect(reply.status).toBe(200)
    expect(await reply.text()).toBe('')
    expect(reply.headers.get('content-type')).toBe('text/html; charset=UTF-8')
    expect(reply.headers.get('x-devpi-serial')).toBe(String(server.head()))
    expect(await metadataOf('dev', 'twine-demo', '1.0')).toMatchObject({
      name: 'Twine.Demo',
      summary: 'a demo',
      requires_dist: ['six', 'attrs'],
      requires_python: '>=3.8',
    })
    const link = await linkOf('dev', 'twine-demo', '1.0', file.filename)
    expect(link).toMatchObject({ rel: 'releasefile', sha256: fields.sha256_digest, size: file.bytes.length, requiresPython: '>=3.8' })
    const metadata = await (await server.fetch(`/nina/dev/+f/${link?.dir}/${file.filename}.metadata`)).text()
    expect(metadata).toContain('Requires-Dist: six')
    expect(createHash('sha256').update(metadata).digest('hex')).toBe(link?.coreMetadata?.sha256)
  })

  test('uv publish: chunked, a metadata hash only, JSON preferred', async () => {
    const file = wheel('uvdemo', '2.0')
    const sha256_digest = createHash('sha256').update(file.bytes).digest('hex')
    const body = form({ ':action': 'file_upload', sha256_digest, protocol_version: '1', metadata_version: '2.1', name: 'uvdemo', version: '2.0', filetype: 'bdist_wheel', pyversion: 'py3' }, file)
    const stream = new ReadableStream({
      start(controller) {
        for (let at = 0; at < body.length; at += 100) controller.enqueue(body.subarray(at, at + 100))
        controller.close()
      },
    })
    const headers = { ...TYPE, Accept: 'application/json;q=0.9, text/plain;q=0.8, text/html;q=0.7' }
    const init = { method: 'POST', body: stream, headers, duplex: 'half' } as const
    expect((await server.as('nina')('/nina/dev/', init)).status).toBe(200)
    expect(await linkOf('dev', 'uvdemo', '2.0', file.filename)).toMatchObject({ sha256: sha256_digest })
  })

  test('the file before everything else, digests too, and no slash behind the index', async () => {
    const file = sdist('first', '1.0')
    const fields = { ...uploadFields('first', '1.0'), md5_digest: createHash('md5').update(file.bytes).digest('hex').toUpperCase() }
    const body = Buffer.concat([content(file), form(fields)])
    const reply = await server.as('nina')('/nina/dev', { method: 'POST', body, headers: TYPE })
    expect(reply.status).toBe(200)
    expect(await linkOf('dev', 'first', '1.0', file.filename)).toMatchObject({ rel: 'releasefile' })
  })

  test('setup.py register: urlencoded or multipart, without a file', async () => {
    const fields = { ':action': 'submit', name: 'registered', version: '1.0', summary: 'UNKNOWN', author: 'nina' }
    const body = new URLSearchParams(fields)
    expect((await server.as('nina')('/nina/dev/', { method: 'POST', body })).status).toBe(200)
    expect(await metadataOf('dev', 'registered', '1.0')).toMatchObject({ author: 'nina', summary: '', platform: [] })
    expect((await post(form({ ...fields, summary: 'new' }))).status).toBe(200)
    expect(await metadataOf('dev', 'registered', '1.0')).toMatchObject({ author: 'nina', summary: 'new' })
  })

  test('documentation, also of the newest version', async () => {
    const docsOf = (text: string): ReleaseFile => ({ filename: 'anything.zip', bytes: zip([{ name: 'index.html', bytes: Buffer.from(text) }]) })
    expect((await post(form({ ':action': 'doc_upload', name: 'docs', version: '1.0' }, docsOf('first')))).status).toBe(200)
    for (const fields of [{ ':action': 'doc_upload', name: 'docs' }, { ':action': 'doc_upload', name: 'docs', version: '' }]) {
      const docs = docsOf(JSON.stringify(fields))
      expect((await post(form(fields, docs))).status).toBe(200)
      const sha256 = createHash('sha256').update(docs.bytes).digest('hex')
      expect(await linkOf('dev', 'docs', '1.0', 'docs-1.0.doc.zip')).toMatchObject({ rel: 'doczip', sha256, size: docs.bytes.length })
    }
  })
})

test('the same file again changes nothing; another one replaces it where that is allowed', async () => {
  const [file, other] = [sdist('again', '1.0'), sdist('again', '1.0', { padding: 10 })]
  for (const index of ['dev', 'prod']) {
    expect((await post(form(uploadFields('again', '1.0'), file), { index })).status).toBe(200)
    const head = server.head()
    const again = await post(form(uploadFields('again', '1.0'), file), { index })
    expect(again.status).toBe(200)
    expect(again.statusText).toBe(index === 'prod' ? 'Upload of identical file to non volatile index.' : 'OK')
    expect(server.head()).toBe(head)
  }
  const before = await server.files()
  const head = server.head()
  const refused = await post(form(uploadFields('again', '1.0'), other), { index: 'prod' })
  expect(refused.status).toBe(409)
  expect(refused.statusText).toBe('again-1.0.tar.gz already exists in non-volatile index')
  expect(server.head()).toBe(head)
  expect((await server.files()).sort()).toEqual(before.sort())
  expect((await post(form(uploadFields('again', '1.0'), other))).status).toBe(200)
})

describe('who may not upload is told before the body is read', () => {
  const body = form(uploadFields('demo', '1.0'), wheel('demo', '1.0', { padding: 3_000_000 }))

  test.each([
    ['nobody', 'dev', 401, 'Unauthorized'],
    ['bob', 'dev', 403, 'no permission to submit'],
    ['nina', 'mirror', 404, 'cannot submit to mirror index'],
    ['nina', 'nope', 404, 'Not Found'],
  ])('%s to %s: %d', async (user, index, status, phrase) => {
    const before = await server.files()
    const send = user === 'nobody' ? server.fetch : server.as(user)
    const reply = await send(`/nina/${index}/`, { method: 'POST', body, headers: { ...TYPE, Accept: 'application/json' } })
    expect(reply.status).toBe(status)
    expect(reply.statusText).toBe(phrase)
    expect(((await reply.json()) as { message: string }).message).toMatch(/./)
    expect(reply.headers.get('www-authenticate')).toBe(status === 401 ? 'Basic realm="pypi"' : null)
    expect(await server.files()).toEqual(before)
  })
})

const DEMO = wheel('demo', '1.0')
const FIELDS = uploadFields('demo', '1.0')
const named = (filename: string, { bytes } = DEMO): ReleaseFile => ({ filename, bytes })
const without = (name: string): FormFields => Object.fromEntries(Object.entries(FIELDS).filter(([field]) => field !== name))
const manyFields = Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`field${at}`, 'x']))

describe('uploads that are refused leave nothing behind', () => {
  test.each<[string, Uint8Array, number, RegExp]>([
    ['no action', form(without(':action'), DEMO), 400, /no :action/],
    ['an unknown action', form({ ...FIELDS, ':action': 'frob' }, DEMO), 400, /^action 'frob' not supported$/],
    ['an action with a line break', form({ ...FIELDS, ':action': 'a\r\nSet-Cookie: x' }, DEMO), 400, /^action 'a Set-Cookie: x' not supported$/],
    ['no file', form(FIELDS), 400, /^content file field not found$/],
    ['documentation without a file', form({ ...FIELDS, ':action': 'doc_upload' }), 400, /^content file field not found$/],
    ['a file that is a field', form({ ...FIELDS, content: 'bytes' }), 400, /content/],
    ['two files', Buffer.concat([content(DEMO), form(FIELDS, DEMO)]), 400, /more than one file/],
    ['no name', form(without('name'), DEMO), 400, /^invalid metadata: Missing required field "name"$/],
    ['no version', form(without('version'), DEMO), 400, /^invalid metadata: Missing required field "version"$/],
    ['an empty version', form({ ...FIELDS, version: '' }, DEMO), 400, /"version"$/],
    ['an illegal name', form({ ...FIELDS, name: 'de mo' }, DEMO), 400, /^invalid metadata: Invalid package name/],
    ['a name that is no word', form({ ...FIELDS, name: '../x' }, DEMO), 400, /^invalid metadata/],
    ['a version with a slash', form({ ...FIELDS, version: '1/0' }, DEMO), 400, /^invalid metadata/],
    ['a version of one dot', form({ ...FIELDS, version: '.' }, DEMO), 400, /version/],
    ['a very long version', form({ ...FIELDS, version: '1'.repeat(300) }, DEMO), 400, /longer than/],
    ['no known archive', form(FIELDS, named('demo-1.0.tar.xz')), 400, /^'demo-1.0.tar.xz' is not a valid archive name$/],
    ['an empty file name', form(FIELDS, named('')), 400, /archive name/],
    ['a file name with a folder', form(FIELDS, named('../demo-1.0-py3-none-any.whl')), 400, /slash/],
    ['the file of another version', form({ ...FIELDS, version: '2.0' }, DEMO), 400, /does not contain version '2.0'$/],
    ['the file of another project', form({ ...FIELDS, name: 'other' }, DEMO), 400, /does not match project name 'other'$/],
    ['a wheel that is no archive', form(FIELDS, named(DEMO.filename, { filename: '', bytes: noise(5000) })), 400, /^'demo-1.0-py3-none-any.whl' /],
    ['a wheel that is empty', form(FIELDS, named(DEMO.filename, { filename: '', bytes: Buffer.alloc(0) })), 400, /^'demo-1.0-py3-none-any.whl' /],
    ['a wheel cut short', form(FIELDS, named(DEMO.filename, { filename: '', bytes: DEMO.bytes.subarray(0, 300) })), 400, /^'demo-1.0-py3-none-any.whl' /],
    ['an sdist that is no archive', form(FIELDS, named('demo-1.0.tar.gz', { filename: '', bytes: noise(5000) })), 400, /^'demo-1.0.tar.gz' /],
    ['METADATA of another project', form(FIELDS, wheel('demo', '1.0', { metadataText: metadataText('evil', '1.0') })), 400, /project 'evil'.*'demo'/],
    ['METADATA of another version', form(FIELDS, wheel('demo', '1.0', { metadataText: metadataText('demo', '1.1') })), 400, /version '1.1'.*'1.0'/],
    ['PKG-INFO of another version', form(FIELDS, sdist('demo', '1.0', { metadataText: metadataText('demo', '1.1') })), 400, /version '1.1'.*'1.0'/],
    ['METADATA without a name', form(FIELDS, wheel('demo', '1.0', { metadataText: 'Version: 1.0\n' })), 400, /Name/],
    ['a wrong md5', form({ ...FIELDS, md5_digest: '0'.repeat(32) }, DEMO), 400, /md5_digest/],
    ['a wrong sha256', form({ ...FIELDS, sha256_digest: '0'.repeat(64) }, DEMO), 400, /sha256_digest/],
    ['a wrong blake2', form({ ...FIELDS, blake2_256_digest: '0'.repeat(64) }, DEMO), 400, /blake2_256_digest/],
    ['a digest that is none', form({ ...FIELDS, sha256_digest: 'no' }, DEMO), 400, /sha256_digest/],
    ['a wrong digest behind the file', Buffer.concat([content(DEMO), form({ ...FIELDS, blake2_256_digest: '0'.repeat(64) })]), 400, /blake2_256_digest/],
    ['a wrong digest of documentation', form({ ...FIELDS, ':action': 'doc_upload', md5_digest: 'f' }, DEMO), 400, /md5_digest/],
    ['documentation that is no zip', form({ ...FIELDS, ':action': 'doc_upload' }, sdist('demo', '1.0')), 400, /^the documentation is not a zip archive/],
    ['docs of nothing', form({ ':action': 'doc_upload', name: 'nothing' }, DEMO), 400, /^doczip has no version and 'nothing' has no releases/],
    ['docs of no project', form({ ':action': 'doc_upload' }, DEMO), 400, /"name"$/],
    ['ten thousand fields', form({ ...FIELDS, ...manyFields }, DEMO), 413, /more than 5000 fields/],
    ['ten thousand fields behind the file', Buffer.concat([content(DEMO), form({ ...manyFields, ...FIELDS })]), 413, /more than 5000 fields/],
    ['more than is allowed', form(FIELDS, wheel('demo', '1.0', { padding: 4_100_000 })), 413, /4000000 bytes/],
    ['no closing boundary', form(FIELDS, DEMO).subarray(0, -END.length), 400, /closing boundary/],
    ['no parts', Buffer.from('nonsense'), 400, /./],
    ['nothing', Buffer.alloc(0), 400, /./],
  ])('%s', async (_, body, status, phrase) => {
    const [before, head] = [await server.files(), server.head()]
    const reply = await post(body)
    expect([reply.status, reply.statusText]).toEqual([status, expect.stringMatching(phrase)])
    const text = await reply.text()
    expect(text).not.toContain('<b>')
    expect(server.head()).toBe(head)
    expect((await server.files()).sort()).toEqual(before.sort())
  })

  test('the message stands in the body too, for proxies that drop the reason phrase', async () => {
    const init = { method: 'POST', body: form(FIELDS), headers: { ...TYPE, Accept: 'application/json' } }
    const message = 'content file field not found'
    expect(await (await server.as('nina')('/nina/dev/', init)).json()).toEqual({ message, code: `400 ${message}`, title: message })
  })

  test.each([
    ['a part header with a bare line feed', 'Content-Disposition: form-data; name="content"; filename="a\nb.whl"'],
    ['a file name with an escaped line break', `Content-Disposition: form-data; name="content"; filename*=utf-8''demo-1.0%0d%0aX: y.whl`],
    ['a file name with a zero byte', `Content-Disposition: form-data; name="content"; filename*=utf-8''demo-1.0%00.whl`],
    ['a file name with a quote', `Content-Disposition: form-data; name="content"; filename="demo-1.0\\".whl"`],
  ])('%s', async (_, header) => {
    const [before, head] = [await server.files(), server.head()]
    const reply = await post(Buffer.concat([part(header, DEMO.bytes), form(FIELDS)]))
    expect(reply.status).toBe(400)
    expect(reply.headers.get('x')).toBeNull()
    expect(server.head()).toBe(head)
    expect((await server.files()).sort()).toEqual(before.sort())
  })
})

test('an upload that is broken off leaves nothing behind', async () => {
  const [before, head] = [await server.files(), server.head()]
  const body = form(FIELDS, wheel('demo', '1.0', { padding: 2_000_000 }))
  for (const sent of [50, 1000, 1_000_000, body.length - 1]) {
    const over = server.requestOver()
    const socket = connect(server.port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write(`POST /nina/dev/ HTTP/1.1\r\nHost: x\r\nAuthorization: ${server.auth('nina')}\r\nContent-Length: ${body.length}\r\nContent-Type: ${TYPE['Content-Type']}\r\n\r\n`)
    await new Promise((resolve) => socket.write(body.subarray(0, sent), resolve))
    socket.end()
    await over
    socket.destroy()
  }
  expect(server.head()).toBe(head)
  expect((await server.files()).sort()).toEqual(before.sort())
})

test('a blob that an entry named stays when the same bytes are refused elsewhere', async () => {
  const file = wheel('shared', '1.0')
  await post(form(uploadFields('shared', '1.0'), file))
  const sha256 = createHash('sha256').update(file.bytes).digest('hex')
  const reply = await post(form({ ':action': 'doc_upload', name: 'nothing-here' }, file))
  expect(reply.status).toBe(400)
  expect(await server.deps.blobs.stat(sha256)).toMatchObject({ size: file.bytes.length })
})

test('parallel uploads of one release, and of one file, all arrive', async () => {
  const files = Array.from({ length: 8 }, (_, at) => wheel('many', '1.0', { tag: `py3-none-plat${at % 4}` }))
  const replies = await Promise.all(files.map((file) => post(form(uploadFields('many', '1.0'), file))))
  expect(replies.map(({ status }) => status)).toEqual(files.map(() => 200))
  for (const { filename } of files) expect(await linkOf('dev', 'many', '1.0', filename)).toBeDefined()
})
