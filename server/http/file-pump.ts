import type { ServerResponse } from 'node:http'
import type { OpenBlob } from '#server/storage/blob-store.js'
import type { ByteRange } from './byte-range.js'

const READ_BYTES = 256 * 1024

/**
 * Writes a range of a blob to a response that has its head, and ends it.
 * Resolves when the client has gone, too. A blob shorter than the range
 * destroys the socket: the length was promised.
 */
export async function pumpFile(res: ServerResponse, blob: OpenBlob, range: ByteRange, idleTimeoutMs: number): Promise<void> {
  res.setTimeout(idleTimeoutMs, () => res.destroy()) // counts only while the socket takes nothing
  const buffers = new PumpBuffers(res, range.end - range.start)
  let position = range.start
  while (position < range.end) {
    const bytes = await buffers.pass(blob, position, range.end - position)
    if (bytes === 'gone') return
    if (bytes === 0) {
      res.destroy(new Error(`the file ends at byte ${position} of ${range.end}`))
      return
    }
    position += bytes
  }
  await buffers.flushed()
  res.end()
}

interface PumpBuffer {
  /** Made when it is first needed. */
  bytes: Buffer | undefined
  /** Resolves when the socket has no more use for what was written last. */
  written: Promise<void>
}

/**
 * Two buffers that take turns: one is filled while the socket empties the
 * other, so a transfer never holds more than 512 KiB. What is in memory anyway
 * takes a turn like them.
 */
export class PumpBuffers {
  readonly #res: ServerResponse
  readonly #writes: PendingWrites
  readonly #size: number
  #next: PumpBuffer = { bytes: undefined, written: Promise.resolve() }
  #last: PumpBuffer = { bytes: undefined, written: Promise.resolve() }

  /** `most`: bytes that will be passed on at most. */
  constructor(res: ServerResponse, most: number) {
    this.#res = res
    this.#writes = new PendingWrites(res)
    this.#size = Math.min(READ_BYTES, most)
  }

  /** Reads up to `most` bytes and writes them, once there is room; tells how many. */
  async pass(blob: OpenBlob, position: number, most: number): Promise<number | 'gone'> {
    const buffer = this.#next
    await buffer.written // only then may it be overwritten
    if (this.#res.destroyed) return 'gone'
    buffer.bytes ??= Buffer.allocUnsafeSlow(this.#size)
    const bytes = await blob.read(buffer.bytes.subarray(0, most), position)
    if (bytes > 0) buffer.written = this.#writes.write([buffer.bytes.subarray(0, bytes)])
    this.#takeTurns()
    return bytes
  }

  /** Writes bytes that nobody changes, once there is room; tells how many. */
  async passOn(chunks: readonly Uint8Array[]): Promise<number | 'gone'> {
    await this.#next.written
    if (this.#res.destroyed) return 'gone'
    this.#next.written = this.#writes.write(chunks)
    this.#takeTurns()
    return chunks.reduce((sum, { length }) => sum + length, 0)
  }

  /** Resolves when the socket has taken all, or the client is gone. */
  async flushed(): Promise<void> {
    await Promise.all([this.#next.written, this.#last.written])
  }

  #takeTurns(): void {
    const used = this.#next
    this.#next = this.#last
    this.#last = used
  }
}

/** Writes whose callbacks, which a destroyed response may never call, are also settled by its close. */
class PendingWrites {
  readonly #res: ServerResponse
  readonly #settle = new Set<() => void>()

  constructor(res: ServerResponse) {
    this.#res = res
    res.on('error', () => undefined) // followed by the close
    res.on('close', () => {
      for (const settle of this.#settle) settle()
    })
  }

  /** Resolves when the socket has no more use for any of them, or the client is gone. */
  write(chunks: readonly Uint8Array[]): Promise<void> {
    if (this.#res.destroyed) return Promise.resolve()
    return new Promise((resolve) => {
      const settle = (): void => {
        this.#settle.delete(settle)
        resolve()
      }
      this.#settle.add(settle)
      const last = chunks.length - 1
      this.#res.cork() // in one system call
      for (const [at, chunk] of chunks.entries()) this.#res.write(chunk, at === last ? settle : undefined)
      this.#res.uncork()
    })
  }
}
