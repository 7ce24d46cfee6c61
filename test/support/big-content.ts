import { createHash, randomBytes } from 'node:crypto'
import { type ClientRequest, get, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http'

const BLOCK_BYTES = 1024 * 1024

/** A content too large to be held in memory fifty times; every byte of it is known without holding it once. */
export class BigContent {
  readonly size: number
  readonly sha256: string
  readonly #block = randomBytes(BLOCK_BYTES)

  constructor(size: number) {
    this.size = size
    const hash = createHash('sha256')
    for (let at = 0; at < size; at += BLOCK_BYTES) hash.update(this.block(at))
    this.sha256 = hash.digest('hex')
  }

  /** The block at a position that is a multiple of its length; valid until the next one. No two are the same. */
  block(position: number): Buffer {
    this.#block.writeUInt32BE(position / BLOCK_BYTES)
    return this.#block.subarray(0, this.size - position)
  }

  /** Whether these are the bytes at a position. */
  has(bytes: Buffer, position: number): boolean {
    for (let done = 0; done < bytes.length; ) {
      const within = (position + done) % BLOCK_BYTES
      const block = this.block(position + done - within)
      const length = Math.min(bytes.length - done, block.length - within)
      if (length <= 0 || bytes.compare(block, within, within + length, done, done + length) !== 0) return false
      done += length
    }
    return true
  }

  /** Sends a part of it, no faster than the other side takes it. Resolves early when that is gone. `start` is that of a block. */
  async send(response: ServerResponse, { start, end }: { readonly start: number; readonly end: number }): Promise<void> {
    for (let at = start; at < end && !response.destroyed; at += BLOCK_BYTES) {
      const block = Buffer.from(this.block(at).subarray(0, end - at))
      if (!response.write(block) && !response.destroyed) await takesMore(response)
    }
  }
}

/** Resolves when it does, or will never. */
function takesMore(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      response.off('drain', settle).off('close', settle)
      resolve()
    }
    response.on('drain', settle).on('close', settle)
  })
}

/** What came of a download; a wrong byte makes it `wrong`, and so does one too many. A number is a status that promises no file. */
export type Outcome = 'whole' | 'broken' | 'wrong' | number

/** A client that compares what it gets and keeps nothing of it. */
export class ComparingClient {
  /** Bytes that came and were right. */
  received = 0
  /** Resolves with the status; 0 if there was none. */
  readonly status: Promise<number>
  readonly outcome: Promise<Outcome>
  readonly #request: ClientRequest
  #reply: IncomingMessage | undefined
  #waiting: (() => void)[] = []

  constructor(url: string, content: BigContent, options: { readonly headers?: OutgoingHttpHeaders; readonly start?: number; readonly end?: number } = {}) {
    const { headers = {}, start = 0, end = content.size } = options
    this.#request = get(url, { headers, agent: false })
    const replied = new Promise<IncomingMessage | undefined>((resolve) => {
      this.#request.on('response', resolve).on('error', () => { resolve(undefined) })
    })
    this.status = replied.then((reply) => reply?.statusCode ?? 0)
    this.outcome = replied.then(async (reply) => {
      if (reply === undefined) return 'broken'
      if (reply.statusCode !== 200 && reply.statusCode !== 206) {
        reply.resume()
        return reply.statusCode ?? 0
      }
      this.#reply = reply
      let isRight = true
      reply.on('data', (chunk: Buffer) => {
        isRight &&= content.has(chunk, start + this.received)
        this.received += chunk.length
        this.#wake()
      })
      const isComplete = await new Promise<boolean>((resolve) => {
        reply.on('close', () => { resolve(reply.complete) }).on('error', () => undefined)
      })
      this.#wake()
      if (!isRight || this.received > end - start) return 'wrong'
      return isComplete && this.received === end - start ? 'whole' : 'broken'
    })
  }

  /** Resolves when so much has come, or nothing more will. */
  async until(received: number): Promise<void> {
    await this.status
    while (this.received < received && this.#reply?.closed === false) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  /** Takes nothing more until `resume`. */
  pause(): void {
    this.#reply?.pause()
  }

  resume(): void {
    this.#reply?.resume()
  }

  leave(): void {
    this.#request.destroy()
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
