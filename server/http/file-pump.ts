import type { ServerResponse } from 'node:http'
import type { OpenBlob } from '#server/storage/blob-store.js'
import type { ByteRange } from './byte-range.js'

const READ_BYTES = 256 * 1024

/**
 * Writes a range of a blob to a response that has its head, and ends it. Two
 * buffers take turns: one is filled while the socket empties the other, so a
 * transfer never holds more than 512 KiB. Resolves when the client has gone, too.
 * A blob shorter than the range destroys the socket: the length was promised.
 */
export async function pumpFile(res: ServerResponse, blob: OpenBlob, range: ByteRange, idleTimeoutMs: number): Promise<void> {
  res.setTimeout(idleTimeoutMs, () => res.destroy()) // counts only while the socket takes nothing
  const writes = new PendingWrites(res)
  const size = Math.min(READ_BYTES, range.end - range.start)
  const slots = [Buffer.allocUnsafeSlow(size), Buffer.allocUnsafeSlow(size)].map((buffer) => ({ buffer, written: Promise.resolve() }))
  let position = range.start
  for (let turn = 0; position < range.end; turn += 1) {
    const slot = slots[turn % slots.length]
    if (slot === undefined) return
    await slot.written // only then may the buffer be overwritten
    if (res.destroyed) return
    const bytes = await blob.read(slot.buffer.subarray(0, Math.min(size, range.end - position)), position)
    if (bytes === 0) {
      res.destroy(new Error(`the file ends at byte ${position} of ${range.end}`))
      return
    }
    slot.written = writes.write(slot.buffer.subarray(0, bytes))
    position += bytes
  }
  await Promise.all(slots.map(({ written }) => written))
  res.end()
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

  /** Resolves when the socket has no more use for the bytes, or the client is gone. */
  write(bytes: Uint8Array): Promise<void> {
    if (this.#res.destroyed) return Promise.resolve()
    return new Promise((resolve) => {
      const settle = (): void => {
        this.#settle.delete(settle)
        resolve()
      }
      this.#settle.add(settle)
      this.#res.write(bytes, settle)
    })
  }
}
