import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { type FormFile, type FormPost, postForm } from '#server/upstream/form-post.js'
import { TargetHosts } from '#server/upstream/target-hosts.js'

const HOSTS = new TargetHosts(['127.0.0.1'])

/** Another side that does with each connection whatever the test wants. */
class OtherSide implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  constructor(onHead: (socket: Socket) => void) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => undefined)
      socket.once('data', () => onHead(socket))
    })
  }

  async take(more: Partial<FormPost> = {}): ReturnType<typeof postForm> {
    if (!this.#server.listening) await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const url = new URL(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`)
    return postForm({ url, username: 'u', password: 'p', userAgent: 'test', fields: [], hosts: HOSTS, signal: new AbortController().signal, ...more })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

function fileOf(pieces: number, fail?: Error): FormFile {
  const piece = Buffer.alloc(64 * 1024)
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < pieces; at += 1) yield piece
    if (fail !== undefined) throw fail
  }
  return { field: 'content', filename: 'a.whl', size: (pieces + (fail === undefined ? 0 : 1)) * piece.length, bytes }
}

test('a connection that breaks while the form is sent is a failure of the other side, wherever it is noticed', async () => {
  await using other = new OtherSide((socket) => socket.resetAndDestroy())
  await other.take({ file: fileOf(1) }).catch(() => undefined) // it listens
  const file = fileOf(100)
  // It is noticed in a read or in a write, as it happens.
  const outcomes = await Promise.allSettled(Array.from({ length: 40 }, () => other.take({ file })))
  for (const outcome of outcomes) {
    expect(outcome).toMatchObject({ status: 'rejected', reason: { kind: 'upstream-failed', message: expect.stringContaining('could not be reached') } })
  }
})

test('a status counts when its text breaks off', async () => {
  await using other = new OtherSide((socket) => socket.end('HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nhalf of'))
  expect(await other.take()).toEqual({ status: 201, text: 'half of' })
})

test('a text that never ends is not waited for', async () => {
  await using other = new OtherSide((socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nslow'))
  expect(await other.take({ textTimeoutMs: 0 })).toEqual({ status: 200, text: 'slow' })
})

test('who switches to another protocol does not answer', async () => {
  await using other = new OtherSide((socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n'))
  await expect(other.take()).rejects.toMatchObject({ kind: 'upstream-failed', message: expect.stringContaining('no answer') })
})

test('what keeps the file from being read is no failure of the other side', async () => {
  await using other = new OtherSide(() => undefined)
  const broken = new Error('the disk is broken')
  await expect(other.take({ file: fileOf(3, broken) })).rejects.toBe(broken)
})
