import events from 'node:events'
import { connect, type Socket } from 'node:net'

export interface LoadResult {
  readonly requestsPerSecond: number
  /** ms, ascending; empty where single requests were not timed. */
  readonly latenciesMs: readonly number[]
}

/** A GET as bytes. */
export function getRequest(path: string, headers: Readonly<Record<string, string>> = {}): Buffer {
  return request('GET', path, headers)
}

export function request(method: string, path: string, headers: Readonly<Record<string, string>>, body?: Buffer): Buffer {
  const lines = Object.entries({ Host: 'localhost', ...headers, ...(body && { 'Content-Length': String(body.length) }) })
  const head = `${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
  return body === undefined ? Buffer.from(head) : Buffer.concat([Buffer.from(head), body])
}

export interface RawReply {
  readonly status: number
  /** Names and values in turn, as sent. */
  readonly headers: readonly string[]
  readonly body: Buffer
  readonly firstByteMs: number
  readonly totalMs: number
}

/** One request on a connection of its own. */
export async function once(port: number, bytes: Buffer): Promise<RawReply> {
  const client = await Client.open(port)
  try {
    return await client.ask(bytes)
  } finally {
    client.close()
  }
}

/** One keep-alive connection that asks one thing after the other. */
export class Client {
  readonly #socket: Socket
  #received: Buffer[] = []
  #length = 0
  #wake: () => void = () => undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#received.push(chunk)
      this.#length += chunk.length
      this.#wake()
    })
    socket.on('error', () => { this.#wake() })
  }

  static async open(port: number): Promise<Client> {
    const socket = connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    await events.once(socket, 'connect')
    return new Client(socket)
  }

  /** Sends a request and reads the reply to its end. */
  async ask(bytes: Buffer): Promise<RawReply> {
    const start = performance.now()
    this.#socket.write(bytes)
    await this.#until(1)
    const firstByteMs = performance.now() - start
    let all = this.#take()
    let headEnd = all.indexOf('\r\n\r\n')
    while (headEnd < 0) {
      await this.#until(1)
      all = Buffer.concat([all, this.#take()])
      headEnd = all.indexOf('\r\n\r\n')
    }
    const [statusLine = '', ...lines] = all.subarray(0, headEnd).toString('latin1').split('\r\n')
    const headers = lines.flatMap((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()])
    const status = Number(statusLine.split(' ')[1])
    const body = await this.#body(all.subarray(headEnd + 4), headers, status)
    return { status, headers, body, firstByteMs, totalMs: performance.now() - start }
  }

  close(): void {
    this.#socket.destroy()
  }

  async #body(start: Buffer, headers: readonly string[], status: number): Promise<Buffer> {
    const length = headerOf(headers, 'content-length')
    const pieces = [start]
    let have = start.length
    const wanted = status === 304 ? 0 : length === undefined ? undefined : Number(length)
    const ended = (): boolean =>
      wanted === undefined ? (pieces.at(-1)?.subarray(-7).includes('0\r\n\r\n') ?? false) : have >= wanted
    while (!ended()) {
      await this.#until(1)
      const more = this.#take()
      have += more.length
      pieces.push(more)
    }
    return Buffer.concat(pieces)
  }

  async #until(bytes: number): Promise<void> {
    while (this.#length < bytes) {
      if (this.#socket.destroyed) throw new Error('the server closed the connection')
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  #take(): Buffer {
    const all = this.#received.length === 1 ? (this.#received[0] ?? Buffer.alloc(0)) : Buffer.concat(this.#received)
    this.#received = []
    this.#length = 0
    return all
  }
}

export function headerOf(headers: readonly string[], name: string): string | undefined {
  const at = headers.findIndex((header, index) => index % 2 === 0 && header.toLowerCase() === name)
  return at < 0 ? undefined : headers[at + 1]
}

/**
 * The same request again and again on a few connections: counts bytes, as
 * every reply has as many as the first, so that this costs little beside the
 * server.
 */
export async function hammer(port: number, bytes: Buffer, options: { readonly connections: number; readonly ms: number }): Promise<number> {
  const first = await once(port, bytes)
  if (![200, 206, 304].includes(first.status)) throw new Error(`${bytes.toString().split('\r\n')[0]} was answered with ${first.status}`)
  const size = replySize(first)
  let replies = 0
  let stopped = false
  const start = performance.now()
  await Promise.all(
    Array.from({ length: options.connections }, () => new Promise<void>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1')
      socket.setNoDelay(true)
      let missing = size
      socket.on('connect', () => socket.write(bytes))
      socket.on('error', reject)
      socket.on('data', (chunk) => {
        missing -= chunk.length
        if (missing > 0) return
        if (missing < 0) reject(new Error('the replies differ in length'))
        missing = size
        replies += 1
        if (stopped) {
          socket.destroy()
          resolve()
        } else socket.write(bytes)
      })
      setTimeout(() => { stopped = true }, options.ms)
    })),
  )
  return (replies * 1000) / (performance.now() - start)
}

function replySize({ status, headers, body }: RawReply): number {
  const names = headers.map((text, at) => text.length + (at % 2 === 0 ? 2 : 2)).reduce((a, b) => a + b, 0)
  const phrase = status === 304 ? 'Not Modified' : status === 206 ? 'Partial Content' : 'OK'
  return `HTTP/1.1 ${status} ${phrase}\r\n`.length + names + 2 + body.length
}

/** Each request once, in turn, shared out among so many connections; timed one by one. */
export async function askAll(port: number, requests: readonly Buffer[], connections: number): Promise<LoadResult> {
  const latenciesMs: number[] = []
  let next = 0
  const start = performance.now()
  await Promise.all(
    Array.from({ length: connections }, async () => {
      const client = await Client.open(port)
      for (let at = next++; at < requests.length; at = next++) {
        const bytes = requests[at]
        if (bytes === undefined) break
        const { status, totalMs, body } = await client.ask(bytes)
        if (status !== 200) throw new Error(`status ${status}: ${body.toString().slice(0, 200)}`)
        latenciesMs.push(totalMs)
      }
      client.close()
    }),
  )
  const seconds = (performance.now() - start) / 1000
  return { requestsPerSecond: requests.length / seconds, latenciesMs: latenciesMs.sort((a, b) => a - b) }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? NaN
}

export function percentile(ascending: readonly number[], share: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * share))] ?? NaN
}
