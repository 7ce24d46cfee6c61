import { mkdtemp, rm, truncate } from 'node:fs/promises'
import { createServer, request, type IncomingHttpHeaders, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isRefusal } from '#test/support/refusals.js'
import { parseByteRange } from '#server/http/byte-range.js'
import { type FileBody, type FileSource, sendFile } from '#server/http/file-body.js'
import { HotFiles } from '#server/http/hot-files.js'
import { SmallFileCache } from '#server/http/small-file-cache.js'
import type { OpenBlob } from '#server/storage/blob-store.js'
import { DiskBlobs } from '#server/storage/disk-blobs.js'
import { content } from '#test/storage/blob-store.suite.js'

const MODIFIED = Date.UTC(2026, 4, 4, 9, 10, 11, 500)
const MODIFIED_TEXT = 'Mon, 04 May 2026 09:10:11 GMT'

describe('parseByteRange (RFC 9110 14.1.2)', () => {
  test.each<[string, number, unknown]>([
    ['bytes=0-0', 10, { start: 0, end: 1 }],
    ['bytes=2-5', 10, { start: 2, end: 6 }],
    ['bytes=2-', 10, { start: 2, end: 10 }],
    ['bytes=2-99', 10, { start: 2, end: 10 }],
    ['bytes=-3', 10, { start: 7, end: 10 }],
    ['bytes=-99', 10, { start: 0, end: 10 }],
    ['Bytes= 2-5 ', 10, { start: 2, end: 6 }],
    ['bytes=10-', 10, 'unsatisfiable'],
    ['bytes=99-100', 10, 'unsatisfiable'],
    ['bytes=-0', 10, 'unsatisfiable'],
    ['bytes=0-', 0, 'unsatisfiable'],
    ['bytes=-5', 0, 'unsatisfiable'],
    [`bytes=${'9'.repeat(400)}-`, 10, 'unsatisfiable'],
    ['bytes=5-2', 10, 'whole'],
    ['bytes=0-1,4-5', 10, 'whole'],
    ['bytes=-', 10, 'whole'],
    ['bytes=a-b', 10, 'whole'],
    ['bytes=+1-2', 10, 'whole'],
    ['lines=1-2', 10, 'whole'],
    ['', 10, 'whole'],
  ])('%s of %d', (header, size, wanted) => {
    expect(parseByteRange(header, size)).toEqual(wanted)
  })
})

describe('SmallFileCache', () => {
  test('stays within its bytes and drops what was not used for longest', () => {
    const cache = new SmallFileCache({ maxBytes: 100 })
    for (const name of ['a', 'b', 'c']) cache.set(name, Buffer.alloc(33))
    cache.get('a')
    cache.set('d', Buffer.alloc(33))
    expect(['a', 'b', 'c', 'd'].filter((name) => cache.get(name) !== undefined)).toEqual(['a', 'c', 'd'])
    expect(cache.bytes).toBe(99)
    cache.set('e', Buffer.alloc(100))
    cache.set('e', Buffer.alloc(100))
    expect(cache.bytes).toBe(100)
    cache.set('f', Buffer.alloc(101))
    expect(cache.bytes).toBe(0)
    cache.set('g', Buffer.alloc(256 * 1024 + 1))
    expect(cache.get('g')).toBeUndefined()
  })
})

interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

describe('sendFile', () => {
  let folder: string
  let blobs: DiskBlobs
  let server: Server
  let source: FileSource
  let file: FileBody
  /** Settles with each call of `sendFile`. */
  let sent: Promise<void>

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'files-'))
    blobs = await DiskBlobs.open(folder)
    source = { blobs }
    server = createServer((req, res) => {
      sent = sendFile(req, res, file, source)
      sent.catch((error: unknown) => {
        const status = isRefusal(error, 'range-not-satisfiable') ? 416 : isRefusal(error, 'not-found') ? 404 : 500
        res.writeHead(status, isRefusal(error) ? error.headers : {}).end()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })
  afterEach(async () => {
    server.close()
    server.closeAllConnections()
    await blobs[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })

  async function store(bytes: Buffer): Promise<FileBody> {
    using blob = await blobs.putBytes(bytes)
    return {
      sha256: blob.sha256,
      size: blob.size,
      contentType: 'application/x-tar',
      lastModifiedMs: MODIFIED,
      headers: { 'Cache-Control': 'max-age=365000000, immutable, public' },
    }
  }

  function ask(method: string, headers: Record<string, string> = {}): Promise<Reply> {
    const { port } = server.address() as AddressInfo
    return new Promise((resolve, reject) => {
      const asked = request({ port, host: '127.0.0.1', method, headers, agent: false }, (res) => {
        const chunks: Buffer[] = []
        res.on('data', (chunk: Buffer) => chunks.push(chunk))
        res.on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(chunks) }))
        res.on('error', reject)
      })
      asked.on('error', reject)
      asked.end()
    })
  }

  const SIZES: [string, number][] = [['nothing', 0], ['a small file', 100_000], ['the largest small file', 262_144], ['a large file', 262_145], ['several buffers', 1_500_000]]

  describe.each(SIZES)('%s', (_, size) => {
    const bytes = content(size)
    const etag = (): string => `"${file.sha256}"`
    beforeEach(async () => {
      file = await store(bytes)
    })

    test('GET and HEAD, with and without a cache', async () => {
      for (const cache of [undefined, new SmallFileCache()]) {
        source = { blobs, ...(cache && { cache }) }
        for (let round = 0; round < 2; round += 1) {
          const reply = await ask('GET')
          expect(reply).toMatchObject({
            status: 200,
            headers: {
              'content-length': String(size),
              'content-type': 'application/x-tar',
              'accept-ranges': 'bytes',
              etag: etag(),
              'last-modified': MODIFIED_TEXT,
              'cache-control': 'max-age=365000000, immutable, public',
            },
          })
          expect(reply.headers).not.toHaveProperty('content-encoding')
          expect(reply.body.equals(bytes)).toBe(true)
          const head = await ask('HEAD', { Range: 'bytes=0-1' })
          expect(head.headers).toMatchObject({ 'content-length': String(size), etag: etag() })
          expect(head).toMatchObject({ status: 200, body: Buffer.alloc(0) })
        }
      }
    })

    test.each<[string, (tag: string) => Record<string, string>, number]>([
      ['the ETag', (tag) => ({ 'If-None-Match': tag }), 304],
      ['a weak one among others', (tag) => ({ 'If-None-Match': `"x,y", W/${tag}` }), 304],
      ['any', () => ({ 'If-None-Match': '*' }), 304],
      ['the date', () => ({ 'If-Modified-Since': MODIFIED_TEXT }), 304],
      ['a later date', () => ({ 'If-Modified-Since': 'Tue, 05 May 2026 00:00:00 GMT' }), 304],
      ['another ETag, whatever the date', () => ({ 'If-None-Match': '"other"', 'If-Modified-Since': MODIFIED_TEXT }), 200],
      ['an earlier date', () => ({ 'If-Modified-Since': 'Sun, 03 May 2026 00:00:00 GMT' }), 200],
      ['no date at all', () => ({ 'If-Modified-Since': 'yesterday' }), 200],
    ])('conditional on %s', async (_name, headers, status) => {
      for (const method of ['GET', 'HEAD']) {
        const reply = await ask(method, headers(etag()))
        expect(reply.status).toBe(status)
        if (status === 304) expect(reply).toMatchObject({ headers: { etag: etag() }, body: Buffer.alloc(0) })
      }
    })
  })

  describe.each(SIZES.slice(1))('a range of %s', (_, size) => {
    const bytes = content(size)
    beforeEach(async () => {
      file = await store(bytes)
    })

    test.each<[string, number, number]>([
      ['bytes=0-0', 0, 1],
      ['bytes=5000-', 5000, size],
      ['bytes=-10', size - 10, size],
      ['bytes=99-90000', 99, 90_001],
      ['bytes=0-9999999', 0, size],
    ])('%s', async (range, start, end) => {
      for (const condition of [{}, { 'If-Range': `"${file.sha256}"` }, { 'If-Range': MODIFIED_TEXT }]) {
        const reply = await ask('GET', { Range: range, ...condition })
        expect(reply.status).toBe(206)
        expect(reply.headers).toMatchObject({ 'content-range': `bytes ${start}-${end - 1}/${size}`, 'content-length': String(end - start) })
        expect(reply.body.equals(bytes.subarray(start, end))).toBe(true)
      }
    })

    test.each([{ Range: 'bytes=0-1,4-5' }, { Range: 'bytes=0-1', 'If-Range': '"other"' }, { Range: 'bytes=0-1', 'If-Range': 'Sun, 03 May 2026 00:00:00 GMT' }])(
      '%j gives the whole',
      async (headers) => {
        const reply = await ask('GET', headers)
        expect(reply.status).toBe(200)
        expect(reply.headers).not.toHaveProperty('content-range')
        expect(reply.body.equals(bytes)).toBe(true)
      },
    )

    test('behind the end is refused with the size', async () => {
      expect(await ask('GET', { Range: `bytes=${size}-` })).toMatchObject({ status: 416, headers: { 'content-range': `bytes */${size}` } })
    })
  })

  test('a file that many ask for is sent out of memory, whole and in ranges', async () => {
    const bytes = content(1_500_000)
    file = await store(bytes)
    using hot = new HotFiles()
    source = { blobs, hot }
    while (hot.get(file, () => blobs.open(file.sha256)) === undefined) await ask('GET')
    await blobs.delete(file.sha256) // so that nobody reads it from the disk
    const whole = await ask('GET')
    expect([whole.status, whole.headers['content-length'], whole.body.equals(bytes)]).toEqual([200, '1500000', true])
    const part = await ask('GET', { Range: 'bytes=1000000-1400000' })
    expect([part.status, part.body.equals(bytes.subarray(1_000_000, 1_400_001))]).toEqual([206, true])
    expect((await ask('GET', { 'If-None-Match': `"${file.sha256}"` })).status).toBe(304)
  })

  test.each([100_000, 600_000])('a blob that is missing or has another size promises nothing (%d bytes)', async (size) => {
    file = await store(content(size))
    await truncate(blobs.path(file.sha256), size - 1)
    expect((await ask('GET')).status).toBe(500)
    await blobs.delete(file.sha256)
    expect((await ask('GET')).status).toBe(404)
    expect((await ask('HEAD')).status).toBe(404)
  })

  test('a blob cut short in the middle of the transfer resets the connection', async () => {
    file = await store(content(2_000_000))
    source = { blobs: { open: () => openCutShort(1_000_000) } }
    await expect(ask('GET')).rejects.toMatchObject({ code: 'ECONNRESET' })
    await sent
  })

  test.each([
    ['goes away', 60_000],
    ['takes nothing', 50],
  ])('a client that %s in the middle frees the blob', async (how, idleTimeoutMs) => {
    file = await store(content(1))
    file = { ...file, size: 100_000_000 }
    const closed = new Promise<void>((resolve) => {
      source = { blobs: { open: async () => endless(file.size, resolve) }, idleTimeoutMs }
    })
    const { port } = server.address() as AddressInfo
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await new Promise((resolve) => socket.once('readable', resolve))
    if (how === 'goes away') socket.destroy()
    await closed
    await sent
    socket.destroy()
  })

  async function openCutShort(bytes: number): Promise<OpenBlob | undefined> {
    const blob = await blobs.open(file.sha256)
    return blob && { size: blob.size, close: blob.close, read: async (buffer, position) => (position < bytes ? blob.read(buffer, position) : 0) }
  }
})

/** A blob without content of its own. */
function endless(size: number, onClose: () => void): OpenBlob {
  return { size, read: async (buffer) => buffer.length, close: async () => onClose() }
}
