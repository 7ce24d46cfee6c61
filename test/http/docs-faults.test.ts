import { createHash } from 'node:crypto'
import { keys } from '#log-format/keys.js'
import { noise } from '#test/support/archives.js'
import { startServer, type TestServer } from '#test/support/server.js'
import { zip, type ZipEntry } from '#test/support/zip-builder.js'

const INDEX: ZipEntry = { name: 'index.html', bytes: Buffer.from('index') }

let server: TestServer
beforeAll(async () => {
  server = await startServer()
  await server.signUp('nina', { dev: {} })
})
afterAll(async () => {
  expect(faults()).toEqual([])
  await server[Symbol.asyncDispose]()
})

function faults(): string[] {
  return server.log.filter((line) => line.includes('a request failed'))
}

async function messageAt(path: string): Promise<[number, string]> {
  const reply = await server.fetch(path, { headers: { Accept: 'application/json' } })
  return [reply.status, ((await reply.json()) as { message: string }).message]
}

async function bodyAt(path: string): Promise<string> {
  const reply = await server.fetch(path)
  expect(reply.status).toBe(200)
  return await reply.text()
}

/** Puts documentation in place that no upload would let in, and tells where it is. */
async function place(project: string, archive: Uint8Array): Promise<string> {
  using blob = await server.running.blobs.putBytes(archive)
  const version = { user: 'nina', index: 'dev', project, version: '1.0' }
  const { sha256, size } = blob
  await server.running.storage.transact({ time: 1, actor: '+system', via: 'system', request: 'test' }, async (tx) => {
    tx.set(keys.version(version), { created: 1 })
    tx.set(keys.link({ ...version, basename: `${project}-1.0.doc.zip` }), { rel: 'doczip', sha256, size, dir: `${sha256.slice(0, 3)}/${sha256.slice(3, 16)}`, time: 1, order: 1, log: [] })
    tx.record({ kind: 'docs-uploaded', ...version, file: `${project}-1.0.doc.zip`, sha256, size })
  })
  return `/nina/dev/${project}/1.0/+doc`
}

describe('an archive that no upload would let in', () => {
  const LARGE = noise(900_000)

  test.each<[string, Uint8Array]>([
    ['noise', noise(500)],
    ['nothing', Buffer.alloc(0)],
    ['a list of files beyond the end', zip([INDEX], { zip64: true, directoryOffset: 2 ** 62 })],
    ['a list of files that is none', zip([INDEX], { directoryOffset: 0, directorySize: zip([INDEX]).length - 22 })],
    ['a name twice', zip([INDEX, INDEX])],
    ['an encrypted file', zip([INDEX, { name: 'x', bytes: noise(100), encrypted: true }])],
    ['another compression', zip([INDEX, { name: 'x', bytes: noise(100), method: 12 }])],
    ['traversal', zip([INDEX, { ...INDEX, name: '../x' }])],
  ])('%s is no documentation', async (what, archive) => {
    const docs = await place(`bad-${what.replace(/\W+/g, '-')}`, archive)
    for (const _ of [1, 2]) expect(await messageAt(`${docs}/index.html`)).toEqual([404, 'No documentation available.'])
  })

  test.each<[string, ZipEntry]>([
    ['a wrong checksum', { name: 'x', bytes: Buffer.from('x'), crc: 1 }],
    ['more than it says', { name: 'x', bytes: Buffer.alloc(200_000), size: 1000 }],
    ['less than it says', { name: 'x', bytes: Buffer.from('x'), size: 2 }],
    ['no deflate', { name: 'x', bytes: noise(100), stored: true, method: 8 }],
    ['a place beyond the end', { name: 'x', bytes: noise(100), offset: 1_000_000 }],
    ['a place that is no header', { name: 'x', bytes: noise(100), offset: 7 }],
  ])('a small file with %s is a fault, and says nothing of it', async (what, entry) => {
    await expectFault(async () => {
      const docs = await place(`small-${what.replace(/\W+/g, '-')}`, zip([INDEX, entry]))
      const reply = await server.fetch(`${docs}/x`)
      expect([reply.status, await reply.text()]).toEqual([500, expect.stringContaining('the server failed')])
      expect(await bodyAt(`${docs}/index.html`)).toBe('index')
    })
  })

  test.each<[string, ZipEntry]>([
    ['a wrong checksum', { name: 'x', bytes: LARGE, crc: 1 }],
    ['more than it says', { name: 'x', bytes: LARGE, size: 500_000 }],
    ['less than it says', { name: 'x', bytes: LARGE, size: 900_001 }],
    ['no deflate', { name: 'x', bytes: LARGE, stored: true, method: 8 }],
    ['a wrong checksum, streamed', { name: 'x', bytes: LARGE, crc: 1, streamed: true }],
  ])('a large file with %s ends before its promised length', async (what, entry) => {
    await expectFault(async () => {
      const docs = await place(`large-${what.replace(/\W+/g, '-')}`, zip([INDEX, entry]))
      await expect(server.fetch(`${docs}/x`).then((reply) => reply.arrayBuffer())).rejects.toThrow()
      expect(await bodyAt(`${docs}/index.html`)).toBe('index')
    })
  })

  async function expectFault(act: () => Promise<void>): Promise<void> {
    const before = faults().length
    await act()
    const log = server.log as string[]
    const found = faults().slice(before)
    expect(found).toHaveLength(1)
    log.splice(log.indexOf(found[0] ?? ''), 1)
  }
})

test('a client that leaves in the middle is no fault, and the next one is served', async () => {
  const docs = await place('left', zip([INDEX, { name: 'large', bytes: noise(5_000_000), stored: true }]))
  for (const _ of [1, 2, 3]) {
    const controller = new AbortController()
    const reply = await server.fetch(`${docs}/large`, { signal: controller.signal })
    await reply.body?.getReader().read()
    controller.abort()
  }
  expect(await bodyAt(`${docs}/index.html`)).toBe('index')
})

test('a blob that is missing is no documentation', async () => {
  const archive = zip([{ ...INDEX, bytes: Buffer.from('lost') }])
  const docs = await place('lost', archive)
  await server.running.blobs.delete(createHash('sha256').update(archive).digest('hex'))
  expect(await messageAt(`${docs}/index.html`)).toEqual([404, 'No documentation available.'])
})
