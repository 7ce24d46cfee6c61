import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { wheel } from '#test/support/archives.js'
import { filePathOf, startUploadServer, type UploadServer, uploadTo } from './upload-server.js'

let server: UploadServer
let path: string
beforeAll(async () => {
  server = await startUploadServer()
  for (const index of ['dev', 'locked', 'private']) await uploadTo(server, index, 'demo', '1.0', wheel('demo', '1.0'))
  path = filePathOf('dev', wheel('demo', '1.0'))
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  expect(server.faults).toEqual([])
})

const post = (to: string, body: RequestInit['body'], send = server.fetch): Promise<Response> =>
  send(to, { method: 'POST', headers: { Accept: 'application/json' }, ...(body !== undefined && { body }) })

test.each([
  ['a report', '{"host": "box", "platform": "linux", "testenvs": {"py311": {"test": []}}}'],
  ['odd white space', ' { "é" : [ 1e2 ,\r\n true ] }\n'],
  ['a byte order mark', '\ufeff{"host": "box"}'],
  ['a list', '[]'],
  ['an integer too large for JavaScript', '{"n": 123456789012345678901234567890}'],
  ['a large report', JSON.stringify({ output: 'x'.repeat(3_000_000) })],
])('%s is kept byte for byte, whoever sends it', async (_, report) => {
  const sha256 = createHash('sha256').update(report).digest('hex')
  for (const send of [server.fetch, server.as('nina')]) {
    const reply = await post(path, report, send)
    expect(reply.status).toBe(200)
    const { type, result } = (await reply.json()) as { type: string; result: string }
    expect(type).toBe('toxresultpath')
    const [stored = '', hash] = result.split('#')
    expect(stored).toMatch(new RegExp(`^${path.slice(1).replace(/[+.]/g, '\\$&')}\\.toxresult-\\d{14}-\\d+$`))
    expect(hash).toBe(`sha256=${sha256}`)
    const read = await server.fetch(`/${stored}`)
    expect(read.headers.get('content-type')).toBe('application/json')
    expect(Buffer.from(await read.arrayBuffer()).toString()).toBe(report)
  }
})

test('every report has a name of its own', async () => {
  const results = await Promise.all([1, 2, 3, 4].map(async () => ((await (await post(path, '{}')).json()) as { result: string }).result))
  expect(new Set(results).size).toBe(4)
})

const NO_JSON = 'Bad request: could not decode json'
const FORBIDDEN =
  'No permission to upload tox results. You can use the devpi test --no-upload option to skip the upload.'

describe('refused, with nothing left behind', () => {
  const other = (index: string): string => filePathOf(index, wheel('demo', '1.0'))

  test.each<[string, () => string, string, number, string]>([
    ['no JSON', () => path, '{nope', 400, NO_JSON],
    ['JSON that ends too early', () => path, '{"a": [1, 2', 400, NO_JSON],
    ['JSON with more behind it', () => path, '{} {}', 400, NO_JSON],
    ['nothing', () => path, '', 400, NO_JSON],
    ['JSON that goes wrong late', () => path, `["${'x'.repeat(1_000_000)}"`, 400, NO_JSON],
    ['nested deeply', () => path, '['.repeat(100_000), 400, 'Bad request: the json is nested deeper than 1000 levels'],
    ['more than 64 MiB', () => path, `"${'x'.repeat(64 * 1024 * 1024)}"`, 413, 'the request is larger than the 67108864 bytes allowed here'],
    ['an unknown file', () => `${path}x`, '{}', 404, 'no release file found at '],
    ['an unknown index', () => other('nope'), '{}', 404, 'The stage nina/nope could not be found.'],
    ['an index that takes none from others', () => other('locked'), '{}', 403, FORBIDDEN],
    ['a private index', () => other('private'), '{}', 401, 'login required'],
  ])('%s', async (_, to, body, status, message) => {
    const [before, head] = [await server.files(), server.head()]
    const reply = await post(to(), body)
    const text = await reply.text()
    expect([reply.status, text]).toEqual([status, expect.stringContaining(message)])
    expect(server.head()).toBe(head)
    expect((await server.files()).sort()).toEqual(before.sort())
  })

  test('a report on a report', async () => {
    const { result } = (await (await post(path, '{}')).json()) as { result: string }
    expect((await post(`/${result.split('#')[0]}`, '{}')).status).toBe(404)
  })

  test('a client that goes away', async () => {
    const [before, head] = [await server.files(), server.head()]
    const over = server.requestOver()
    const socket = connect(server.port, '127.0.0.1')
    socket.on('error', () => undefined)
    const sent = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n["${'x'.repeat(400_000)}`
    await new Promise<void>((resolve) => socket.write(sent, () => resolve()))
    socket.end()
    await over
    expect(server.head()).toBe(head)
    expect((await server.files()).sort()).toEqual(before.sort())
  })
})
