import { createServer, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { acceptPush } from '#server/http/push-method.js'

let server: Server
/** Answers wait until a path that begins with `/slow` was let go. */
let letGo: (() => void)[]

beforeAll(async () => {
  server = createServer((request, response) => {
    void textOf(request).then(async (body) => {
      if (request.url?.startsWith('/slow') === true) await new Promise<void>((resolve) => letGo.push(resolve))
      response.end(`<${request.method ?? ''} ${request.url ?? ''} ${body}>`)
    })
  })
  acceptPush(server)
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
})
beforeEach(() => { letGo = [] })
afterAll(() => {
  server.close()
  server.closeAllConnections()
})

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const piece of request.setEncoding('latin1')) text += String(piece)
  return text
}

/** A connection on which each piece is sent as a packet of its own, once the server has read the one before. */
class Line implements Disposable {
  readonly #socket: Socket
  readonly #accepted: Socket
  #text = ''
  #sent = 0
  #wake = (): void => undefined
  closed = false

  private constructor(socket: Socket, accepted: Socket) {
    this.#socket = socket
    this.#accepted = accepted
    socket.setEncoding('latin1').setNoDelay(true)
    socket.on('data', (text: string) => { this.#text += text; this.#wake() })
    socket.on('error', () => undefined)
    socket.on('close', () => { this.closed = true; this.#wake() })
  }

  static async open(to = server): Promise<Line> {
    const accepted = new Promise<Socket>((resolve) => to.once('connection', resolve))
    const socket = connect((to.address() as AddressInfo).port, '127.0.0.1')
    return new Line(socket, await accepted)
  }

  async send(...pieces: readonly string[]): Promise<this> {
    for (const piece of pieces) {
      if (this.closed) return this
      await new Promise<void>((resolve) => this.#socket.write(piece, 'latin1', () => resolve()))
      this.#sent += piece.length
      while (!this.closed && this.#accepted.bytesRead < this.#sent) await new Promise(setImmediate)
    }
    return this
  }

  /** What was answered, in short, up to `count` answers or the end of the connection. */
  async answers(count: number): Promise<string[]> {
    const found = (): string[] => [...this.#text.matchAll(/<[^>]*>|HTTP\/1\.1 [45]\d\d/g)].map(([text]) => text.replace('HTTP/1.1 ', ''))
    while (found().length < count && !this.closed) await new Promise<void>((resolve) => (this.#wake = resolve))
    return found()
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
const sized = (verb: string, path: string, body: string): string => `${verb} ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`
const chunked = (verb: string, path: string, ...chunks: readonly string[]): string =>
  `${verb} ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')}0\r\n\r\n`

const FAKE = '\r\n\r\nPUSH /fake HTTP/1.1\r\nHost: x\r\n\r\n'
const PUSH = sized('PUSH', '/nina/dev', '{"name": "demo"}')
const PUSHED = '<POST /nina/dev {"name": "demo"}>'

/** Requests that stand one behind the other on a connection, and their answers. */
const CONVERSATIONS: readonly [name: string, sent: string, answers: readonly string[]][] = [
  ['alone', PUSH, [PUSHED]],
  ['without a body', 'PUSH /a HTTP/1.1\r\nHost: x\r\n\r\n', ['<POST /a >']],
  ['chunked', chunked('PUSH', '/a', 'one', 'two'), ['<POST /a onetwo>']],
  ['twice', PUSH + PUSH, [PUSHED, PUSHED]],
  ['many times', PUSH.repeat(5), [PUSHED, PUSHED, PUSHED, PUSHED, PUSHED]],
  ['behind a GET', get('/a') + PUSH, ['<GET /a >', PUSHED]],
  ['behind a body of known length', sized('POST', '/a', 'body') + PUSH, ['<POST /a body>', PUSHED]],
  ['behind a chunked body', chunked('POST', '/a', 'bo', 'dy') + PUSH, ['<POST /a body>', PUSHED]],
  ['before others', PUSH + get('/a') + sized('PUT', '/b', 'PUSH') + get('/c'), [PUSHED, '<GET /a >', '<PUT /b PUSH>', '<GET /c >']],
  ['between others', get('/a') + PUSH + chunked('POST', '/b', 'b') + PUSH + get('/c'), ['<GET /a >', PUSHED, '<POST /b b>', PUSHED, '<GET /c >']],
  ['after empty lines', `${get('/a')}\r\n\r\n${PUSH}`, ['<GET /a >', PUSHED]],
  ['looked like by a body', sized('POST', '/a', FAKE) + get('/b'), [`<POST /a ${FAKE}>`, '<GET /b >']],
  ['looked like by its own body', sized('PUSH', '/a', FAKE) + PUSH, [`<POST /a ${FAKE}>`, PUSHED]],
  ['looked like by chunks', chunked('PUSH', '/a', 'PUSH ', FAKE, 'PU', 'SH /') + get('/b'), [`<POST /a PUSH ${FAKE}PUSH />`, '<GET /b >']],
  ['looked like by a body behind it', PUSH + sized('POST', '/a', FAKE), [PUSHED, `<POST /a ${FAKE}>`]],
  ['looked like by a path and a header', 'PUSH /PUSH%20/ HTTP/1.1\r\nHost: x\r\nPUSH: PUSH / HTTP/1.1\r\n\r\n', ['<POST /PUSH%20/ >']],
]

describe.each(CONVERSATIONS)('PUSH %s', (_, sent, answers) => {
  test('in one packet', async () => {
    using line = await Line.open()
    expect(await (await line.send(sent)).answers(answers.length)).toEqual(answers)
  })

  test('byte by byte', async () => {
    using line = await Line.open()
    expect(await (await line.send(...sent)).answers(answers.length)).toEqual(answers)
  })

  test('cut in two around every verb', async () => {
    for (const { index } of sent.matchAll(/PUSH \/(nina|a)/g)) {
      for (let at = index; at <= index + 7; at += 1) {
        using line = await Line.open()
        expect([at, await (await line.send(sent.slice(0, at), sent.slice(at))).answers(answers.length)]).toEqual([at, answers])
      }
    }
  })

  test('on a connection kept alive', async () => {
    using line = await Line.open()
    await (await line.send(get('/first'))).answers(1)
    await (await line.send(sent)).answers(1 + answers.length)
    await line.send(...sent)
    await line.answers(1 + 2 * answers.length)
    expect(await (await line.send(get('/last'))).answers(2 + 2 * answers.length)).toEqual(['<GET /first >', ...answers, ...answers, '<GET /last >'])
  })
})

test('an answer that takes its time is given before the one to a PUSH behind it', async () => {
  using line = await Line.open()
  const reads = get('/slow/1') + get('/slow/2')
  await line.send(reads + PUSH, PUSH + get('/a'))
  letGo[1]?.()
  letGo[0]?.()
  expect(await line.answers(5)).toEqual(['<GET /slow/1 >', '<GET /slow/2 >', PUSHED, PUSHED, '<GET /a >'])
})

test('a PUSH waits for one whose answer takes its time', async () => {
  using line = await Line.open()
  await line.send(sized('PUSH', '/slow', '1') + sized('PUSH', '/a', '2'), sized('PUSH', '/b', '3'))
  while (letGo.length === 0) await new Promise(setImmediate)
  letGo[0]?.()
  expect(await line.answers(3)).toEqual(['<POST /slow 1>', '<POST /a 2>', '<POST /b 3>'])
})

test('a large body arrives whole', async () => {
  using line = await Line.open()
  const body = 'PUSH / HTTP/1.1\r\n'.repeat(100_000)
  expect(await (await line.send(get('/a'), sized('PUSH', '/b', body) + PUSH)).answers(3)).toEqual(['<GET /a >', `<POST /b ${body}>`, PUSHED])
})

test('Connection: close ends it after the answer', async () => {
  using line = await Line.open()
  await line.send('PUSH /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  expect(await line.answers(2)).toEqual(['<POST /a >'])
  expect(line.closed).toBe(true)
})

describe('the time a header may take', () => {
  let hasty: Server
  beforeAll(async () => {
    hasty = createServer({ headersTimeout: 20, connectionsCheckingInterval: 10 }, (request, response) => {
      void textOf(request).then(() => response.end(`<${request.url ?? ''}>`))
    })
    acceptPush(hasty)
    hasty.listen(0, '127.0.0.1')
    await new Promise((resolve) => hasty.once('listening', resolve))
  })
  afterAll(() => {
    hasty.close()
    hasty.closeAllConnections()
  })
  const timeOut = (): Promise<void> => new Promise((resolve) => {
    hasty.prependListener('clientError', ({ code }: NodeJS.ErrnoException) => { if (code === 'ERR_HTTP_REQUEST_TIMEOUT') resolve() })
  })

  test('ends a PUSH that does not go on', async () => {
    for (const begun of ['PUS', 'PUSH /a HTTP/1.1\r\nHost:']) {
      using line = await Line.open(hasty)
      await line.send('PU', begun.slice(2))
      while (!line.closed) await line.answers(2)
      expect(await line.answers(2)).toEqual(['408'])
    }
  })

  test('ends when the header is there, for the parser that failed over it too', async () => {
    const timedOut = timeOut() // it may come before the answer is read
    using line = await Line.open(hasty)
    await (await line.send('PUSH /a HTTP/1.1\r\nHost: x\r\n\r\n')).answers(1)
    await timedOut
    expect(await (await line.send(get('/b'))).answers(2)).toEqual(['</a>', '</b>'])
  })
})

const NO_VERBS = ['PUSHX', 'PUSX', 'PUS', 'PUST', 'PUSH\t', 'PUSH\r\n', 'push', 'XPUSH', 'USH', 'SH', 'PULL', 'GESH', 'PUTS', '\0PUSH', 'POSH', 'PUSH\0']

describe.each(NO_VERBS.map((verb) => [JSON.stringify(verb), `${verb} /a HTTP/1.1\r\nHost: x\r\n\r\n`]))('%s is no verb', (_, request) => {
  test.each([
    ['at first', '', []],
    ['behind a PUSH', PUSH, [PUSHED]],
  ])('%s', async (_, before, answers) => {
    using line = await Line.open()
    if (before !== '') await (await line.send(before)).answers(answers.length)
    await line.send(request)
    const got = await line.answers(answers.length + 2)
    expect(line.closed).toBe(true)
    expect(got.filter((answer) => answer.startsWith('<'))).toEqual(answers)
  })
})

test('what is refused once is not read on', async () => {
  using line = await Line.open()
  expect(await (await line.send(`NOPE / HTTP/1.1\r\nHost: x\r\n\r\n${PUSH}`)).answers(2)).toEqual(['400'])
})
