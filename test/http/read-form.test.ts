import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import fc from 'fast-check'
import type { Form, FormOptions } from '#server/http/form.js'
import { readForm } from '#server/http/read-form.js'
import { drainOrClose } from '#server/http/request-body.js'
import type { ReceivedBlob } from '#server/storage/blob-store.js'
import { MemoryBlobs } from '#test/support/memory-blobs.js'

const BOUNDARY = 'b0undary'
const TYPE = `multipart/form-data; boundary=${BOUNDARY}`

/** What came of one request: the fields, and the file as text. */
interface Outcome {
  readonly fields?: Form<ReceivedBlob>['fields']
  readonly file?: { readonly filename: string; readonly text: string } | undefined
  readonly error?: { readonly name: string; readonly kind?: string; readonly message: string }
}

let server: Server
let blobs: MemoryBlobs
let disposed: number
let limits: Partial<FormOptions<ReceivedBlob>>
let outcomes: Outcome[]
let arrived: () => void
let fileReceived: () => void

beforeEach(async () => {
  blobs = new MemoryBlobs()
  disposed = 0
  limits = {}
  outcomes = []
  arrived = () => undefined
  fileReceived = () => undefined
  server = createServer((req, res) => {
    void readOutcome(req).then((outcome) => {
      outcomes.push(outcome)
      arrived()
      if (outcome.error?.name === 'AbortError') return
      drainOrClose(req, res)
      res.end(JSON.stringify(outcome))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterEach(() => {
  server.close()
  server.closeAllConnections()
})

async function readOutcome(req: IncomingMessage): Promise<Outcome> {
  try {
    const { fields, file } = await readForm(req, {
      maxBodyBytes: 1_000_000,
      maxFields: 1000,
      maxFieldBytes: 10_000,
      maxTotalFieldBytes: 100_000,
      idleTimeoutMs: 10_000,
      onFile: async ({ stream, signal }) => {
        const received = await blobs.receive(stream, { maxBytes: 500_000, signal })
        fileReceived()
        const dispose = received[Symbol.asyncDispose]
        return Object.assign(received, {
          [Symbol.asyncDispose]: async () => {
            disposed += 1
            await dispose()
          },
        })
      },
      ...limits,
    })
    if (file === undefined) return { fields }
    await using content = file.content
    await content.commit()
    const text = Buffer.from((await blobs.read(content.sha256)) ?? []).toString('latin1')
    return { fields, file: { filename: file.filename, text } }
  } catch (error) {
    const { name, kind, message } = error as { name: string; kind?: string; message: string }
    return { error: { name, message, ...(kind !== undefined && { kind }) } }
  }
}

function part(header: string, body: string | Buffer = ''): Buffer {
  return Buffer.concat([Buffer.from(`--${BOUNDARY}\r\n${header}\r\n\r\n`), Buffer.from(body), Buffer.from('\r\n')])
}

function field(name: string, value: string | Buffer): Buffer {
  return part(`Content-Disposition: form-data; name="${name}"`, value)
}

function file(name: string, filename: string, body: string | Buffer): Buffer {
  return part(`Content-Disposition: form-data; name="${name}"; filename="${filename}"`, body)
}

const END = Buffer.from(`--${BOUNDARY}--\r\n`)

async function post(body: Uint8Array | ReadableStream, headers: Record<string, string> = { 'Content-Type': TYPE }): Promise<Outcome> {
  const { port } = server.address() as AddressInfo
  const streaming = body instanceof ReadableStream ? { duplex: 'half' as const } : {}
  const reply = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body, headers, ...streaming })
  return (await reply.json()) as Outcome
}

describe('forms that are read', () => {
  const fields = [field('name', 'demo'), field('version', '1.0'), field('classifiers', 'A'), field('classifiers', 'B')]
  const wanted = [['name', 'demo'], ['version', '1.0'], ['classifiers', 'A'], ['classifiers', 'B']]

  test.each([
    ['fields, then the file (twine, devpi-client)', [...fields, file('content', 'demo-1.0.tar.gz', 'bytes')]],
    ['the file first', [file('content', 'demo-1.0.tar.gz', 'bytes'), ...fields]],
    ['a signature beside it', [...fields, file('content', 'demo-1.0.tar.gz', 'bytes'), file('gpg_signature', 'x.asc', 'signed')]],
  ])('%s', async (_, parts) => {
    expect(await post(Buffer.concat([...parts, END]))).toEqual({ fields: wanted, file: { filename: 'demo-1.0.tar.gz', text: 'bytes' } })
  })

  test.each([
    ['name="content"; filename="a/../b.whl"', 'a/../b.whl'],
    ['name="content"; filename="C:\\dir\\b.whl"', 'C:\\dir\\b.whl'],
    ['name="content"; filename="a \\"b\\".whl"', 'a "b".whl'],
    ['name="content"; filename="a;b.whl"', 'a;b.whl'],
    ['name="content"; filename=""', ''],
    ['filename=b.whl; name=content', 'b.whl'],
    ['name="content"; filename="größe.whl"', 'größe.whl'],
    ["name=\"content\"; filename*=utf-8''gr%C3%B6%C3%9Fe.whl", 'größe.whl'],
  ])('file name %s', async (params, filename) => {
    const body = Buffer.concat([part(`Content-Disposition: form-data; ${params}\r\nContent-Type: application/zip`, 'x'), END])
    expect(await post(body)).toEqual({ fields: [], file: { filename, text: 'x' } })
  })

  test('no parts but the end', async () => {
    expect(await post(END)).toEqual({ fields: [] })
  })

  test('a declared charset, an empty value, line ends, a preamble and an epilogue', async () => {
    const utf8 = part('content-disposition: form-data; name="summary"\r\ncontent-type: text/plain; charset=utf-8', 'Größe ☃')
    const body = Buffer.concat([Buffer.from('hello\r\n'), utf8, field('empty', ''), field('text', 'a\r\n\nb'), END, Buffer.from('bye')])
    expect(await post(body)).toEqual({ fields: [['summary', 'Größe ☃'], ['empty', ''], ['text', 'a\r\n\nb']] })
  })

  test('a chunked body in single bytes (uv streams its uploads)', async () => {
    const body = Buffer.concat([field('name', 'demo'), file('content', 'd.whl', '\r\n--b0undar\r\n'), END])
    const bytes = [...body].map((byte) => Uint8Array.of(byte))
    expect(await post(ReadableStream.from(bytes))).toEqual({ fields: [['name', 'demo']], file: { filename: 'd.whl', text: '\r\n--b0undar\r\n' } })
  })

  // As the end of a form may stand in a piece that is larger than what the parser wants to hold at once.
  test.each([1, 16_383, 16_384, 16_385, 50_000, 65_536, 400_000])('a file of %i bytes, sent in one piece', async (size) => {
    const bytes = randomBytes(size)
    const body = Buffer.concat([field('name', 'demo'), file('content', 'd.whl', bytes), END])
    expect((await post(body)).file?.text).toBe(bytes.toString('latin1'))
  })

  test('a long epilogue', async () => {
    expect(await post(Buffer.concat([field('name', 'demo'), END, Buffer.alloc(200_000)]))).toEqual({ fields: [['name', 'demo']] })
  })

  test('url-encoded fields', async () => {
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8' }
    const wantedFields = [[':action', 'submit'], ['summary', 'Größe + 1'], ['flag', '']]
    expect(await post(Buffer.from(':action=submit&summary=Gr%C3%B6%C3%9Fe+%2B+1&flag'), headers)).toEqual({ fields: wantedFields })
  })

  test('any fields and any file come back as they were sent', async () => {
    const value = fc.string({ unit: 'binary', maxLength: 50 })
    await fc.assert(
      fc.asyncProperty(fc.array(value, { maxLength: 5 }), fc.uint8Array({ maxLength: 2000 }), async (values, bytes) => {
        const parts = values.map((text, at) => field(`f${at}`, text))
        const outcome = await post(Buffer.concat([...parts, file('content', 'x', Buffer.from(bytes)), END]))
        expect(outcome.fields).toEqual(values.map((text, at) => [`f${at}`, text]))
        expect(outcome.file?.text).toBe(Buffer.from(bytes).toString('latin1'))
      }),
      { numRuns: 50 },
    )
  })
})

describe('forms that are refused', () => {
  const disposition = 'Content-Disposition: form-data'
  const content = file('content', 'd.whl', 'x')

  test.each<[string, string, Record<string, string>, string]>([
    ['JSON', '{}', { 'Content-Type': 'application/json' }, 'unsupported-media-type'],
    ['no type', '', { 'Content-Type': '' }, 'unsupported-media-type'],
    ['another multipart', '', { 'Content-Type': `multipart/mixed; boundary=${BOUNDARY}` }, 'unsupported-media-type'],
    ['a compressed body', '', { 'Content-Type': TYPE, 'Content-Encoding': 'gzip' }, 'unsupported-media-type'],
    ['no boundary', '', { 'Content-Type': 'multipart/form-data' }, 'invalid'],
    ['an empty boundary', '', { 'Content-Type': 'multipart/form-data; boundary=""' }, 'invalid'],
    ['a boundary of 71 characters (RFC 2046 5.1.1)', '', { 'Content-Type': `multipart/form-data; boundary=${'b'.repeat(71)}` }, 'invalid'],
    ['another boundary', END.toString(), { 'Content-Type': 'multipart/form-data; boundary=other' }, 'invalid'],
    ['bad percent-encoding', 'a=%zz', { 'Content-Type': 'application/x-www-form-urlencoded' }, 'invalid'],
    ['url-encoded bytes that are not UTF-8', 'a=%ff', { 'Content-Type': 'application/x-www-form-urlencoded' }, 'invalid'],
  ])('%s', async (_, body, headers, kind) => {
    expect(await post(Buffer.from(body), headers)).toMatchObject({ error: { name: 'Refusal', kind } })
  })

  test.each<[string, Buffer[], string]>([
    ['an empty body', [], 'invalid'],
    ['no closing boundary', [field('a', 'b')], 'invalid'],
    ['an end in the middle of the file', [content.subarray(0, -3)], 'invalid'],
    ['an end in the middle of a header', [content.subarray(0, 30)], 'invalid'],
    ['a part whose header never ends', [Buffer.from(`--${BOUNDARY}\r\n${disposition}; name="a"\r\n`), END], 'invalid'],
    ['two files', [content, content, END], 'invalid'],
    ['two signatures', [file('gpg_signature', 's', 's'), file('gpg_signature', 's', 's'), END], 'invalid'],
    ['a field sent as a file', [file('name', 'x', 'demo'), END], 'invalid'],
    ['the file sent as a field', [field('content', 'x'), END], 'invalid'],
    ['no Content-Disposition (RFC 7578 4.2)', [part('Content-Type: text/plain', 'x'), END], 'invalid'],
    ['two Content-Dispositions', [part(`${disposition}; name="a"\r\n${disposition}; name="b"`, 'x'), END], 'invalid'],
    ['a part without a name', [part(disposition, 'x'), END], 'invalid'],
    ['an empty name', [part(`${disposition}; name=""`, 'x'), END], 'invalid'],
    ['an attachment', [part('Content-Disposition: attachment; name="a"', 'x'), END], 'invalid'],
    ['a name twice', [part(`${disposition}; name="a"; name="b"`, 'x'), END], 'invalid'],
    ['an open quote', [part(`${disposition}; name="a`, 'x'), END], 'invalid'],
    ['a bare CR in a header', [part(`${disposition}; name="a\rb"`, 'x'), END], 'invalid'],
    ['a bare LF in a header', [part(`${disposition}; name="content"; filename="a\nb"`, 'x'), END], 'invalid'],
    ['a NUL in a file name', [file('content', 'a\0b', 'x'), END], 'invalid'],
    ['a file name in an unknown charset', [part(`${disposition}; name="content"; filename*=latin1''%e9`, 'x'), END], 'invalid'],
    ['a broken extended file name', [part(`${disposition}; name="content"; filename*=utf-8''%e9`, 'x'), END], 'invalid'],
    ['a name that is not UTF-8', [Buffer.from(`--${BOUNDARY}\r\n${disposition}; name="\xff"\r\n\r\nx\r\n`, 'latin1'), END], 'invalid'],
    ['a value that is not UTF-8', [field('a', Buffer.of(0xc3, 0x28)), END], 'invalid'],
    ['a transfer encoding', [part(`${disposition}; name="a"\r\nContent-Transfer-Encoding: base64`, 'eA=='), END], 'invalid'],
    ['a header beyond all measure', [part(`${disposition}; name="${'n'.repeat(100_000)}"`, 'x'), END], 'invalid'],
    ['10,000 fields', [...Array.from({ length: 10_000 }, () => field('a', '')), END], 'too-large'],
    ['a long value', [field('a', 'x'.repeat(10_001)), END], 'too-large'],
    ['values that are long together', [...Array.from({ length: 11 }, () => field('a', 'x'.repeat(10_000))), END], 'too-large'],
    ['a long signature', [file('gpg_signature', 's', 'x'.repeat(10_001)), END], 'too-large'],
    ['a large file', [file('content', 'd.whl', 'x'.repeat(500_001)), END], 'too-large'],
    ['a large body', [file('content', 'd.whl', 'x'.repeat(1_000_001)), END], 'too-large'],
    ['a late mistake behind a file', [content, field('a', Buffer.of(0xff)), END], 'invalid'],
  ])('%s', async (_, parts, kind) => {
    expect(await post(Buffer.concat(parts))).toMatchObject({ error: { name: 'Refusal', kind } })
    const chunked = ReadableStream.from<Buffer>(parts.length === 0 ? [Buffer.alloc(0)] : parts)
    expect(await post(chunked)).toMatchObject({ error: { name: 'Refusal', kind } })
  })

  test('a file that was received whole is disposed when the rest is refused', async () => {
    const received = new Promise<void>((resolve) => {
      fileReceived = resolve
    })
    const chunks = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.concat([content, Buffer.from(`--${BOUNDARY}\r\n`)])
      await received
      yield Buffer.from('no header\r\n\r\n')
    }
    expect(await post(ReadableStream.from(chunks()))).toMatchObject({ error: { kind: 'invalid' } })
    expect(disposed).toBe(1)
    for await (const blob of blobs.list()) throw new Error(`kept ${blob.sha256}`)
  })

  test('random bytes are refused, not crashed on', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        const outcome = await post(Buffer.concat([Buffer.from(`--${BOUNDARY}\r\n`), bytes]))
        expect(outcome).toMatchObject({ error: { kind: 'invalid' } })
      }),
      { numRuns: 100 },
    )
  })
})

describe('clients that misbehave', () => {
  test('one that stalls is refused, and the connection closed', async () => {
    limits = { idleTimeoutMs: 50 }
    const reply = await raw(`POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${TYPE}\r\nContent-Length: 500\r\n\r\n--${BOUNDARY}\r\n`)
    expect(reply).toContain('the request stopped before it was complete')
  })

  test('one that hangs up in the middle of the file leaves nothing behind', async () => {
    const arrival = new Promise<void>((resolve) => (arrived = resolve))
    const { port } = server.address() as AddressInfo
    const socket = connect(port, '127.0.0.1')
    const head = `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${TYPE}\r\nContent-Length: 500000\r\n\r\n`
    socket.write(Buffer.concat([Buffer.from(head), file('content', 'd.whl', 'x'.repeat(300_000))]), () => socket.destroy())
    await arrival
    expect(outcomes).toMatchObject([{ error: { name: 'AbortError' } }])
    for await (const blob of blobs.list()) throw new Error(`kept ${blob.sha256}`)
  })

  test('one that sends 20 MB too many still reads the refusal, on a connection that lives on', async () => {
    const body = Buffer.concat([file('content', 'd.whl', Buffer.alloc(20_000_000)), END])
    for (let round = 0; round < 3; round += 1) {
      expect(await post(body)).toMatchObject({ error: { kind: 'too-large' } })
    }
    expect(await post(END)).toEqual({ fields: [] })
  })

  /** Sends text as it is and gives what comes back until the server, or a timeout, ends it. */
  async function raw(text: string): Promise<string> {
    const { port } = server.address() as AddressInfo
    const socket = connect(port, '127.0.0.1')
    socket.write(text)
    let reply = ''
    for await (const chunk of socket) {
      reply += String(chunk)
      if (reply.includes('\r\n\r\n') && reply.endsWith('}')) break
    }
    socket.destroy()
    return reply
  }
})
