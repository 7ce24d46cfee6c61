import { once } from 'node:events'
import { get, type IncomingMessage, type ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { type PageReply, PageReader } from '#server/upstream/page-reader.js'
import { type Answer, TestUpstream } from '#test/support/upstream.js'

const KIB = 1024
let upstream: TestUpstream
let reader: PageReader
beforeEach(async () => {
  upstream = await TestUpstream.start()
  reader = new PageReader({ smallBytes: 64 * KIB, pageBytes: 512 * KIB, totalBytes: 700 * KIB })
})
afterEach(() => upstream[Symbol.asyncDispose]())

async function reply(answer: Answer): Promise<PageReply> {
  upstream.on('/page', answer)
  const url = new URL('/page', upstream.origin)
  const [body] = (await once(get(url), 'response')) as [IncomingMessage]
  return { headers: body.headers, url, body }
}

function page(kib: number): Answer {
  return (_request, response) => void response.end(Buffer.alloc(kib * KIB, 'a'))
}

test('a page is read up to its limit, unpacked or not', async () => {
  expect(await reader.read(await reply(page(512)))).toHaveLength(512 * KIB)
  await expect(reader.read(await reply(page(513)))).rejects.toThrow(/more than 524288 bytes/)
  const bomb: Answer = (_request, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(4000 * KIB)))
  await expect(reader.read(await reply(bomb))).rejects.toThrow(/more than 524288 bytes/)
})

test('large pages share what memory there is, small ones need none of it, and it comes back', async () => {
  const open: ServerResponse[] = []
  const first = await reply((_request, response) => {
    open.push(response)
    response.write(Buffer.alloc(500 * KIB, 'a'))
  })
  let taken = 0
  const arrived = new Promise<void>((resolve) => first.body.on('data', (chunk: Buffer) => (taken += chunk.length) >= 500 * KIB && resolve()))
  const reading = reader.read(first)
  await arrived
  await expect(reader.read(await reply(page(300)))).rejects.toThrow(/large, and so are others/)
  expect(await reader.read(await reply(page(60)))).toHaveLength(60 * KIB)
  open[0]?.end()
  expect(await reading).toHaveLength(500 * KIB)
  expect(await reader.read(await reply(page(300)))).toHaveLength(300 * KIB)
})
