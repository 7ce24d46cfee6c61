import { statfs } from 'node:fs/promises'
import { Refusal } from '#log-format/api/refusal.js'

/** Free bytes kept on the disk: a change is refused before the log itself would run out of room. */
const RESERVED_BYTES = 64 * 1024 * 1024
const ROOM_CHECK_MS = 1000

/** Looks at the disk at most once a second, unless it is asked for this very moment. */
export class DiskRoom {
  readonly #freeBytes: () => Promise<number>
  #checked = -Infinity
  #enough = true

  constructor(freeBytes: () => Promise<number>) {
    this.#freeBytes = freeBytes
  }

  async isEnough(): Promise<boolean> {
    if (performance.now() - this.#checked > ROOM_CHECK_MS || !this.#enough) {
      this.#enough = (await this.#freeBytes()) >= RESERVED_BYTES
      this.#checked = performance.now()
    }
    return this.#enough
  }

  /** Refuses `storage-full`. */
  async ensure(): Promise<void> {
    if (await this.isEnough()) return
    throw new Refusal('storage-full', 'the disk of the server is full; nothing was changed, try again when there is room')
  }

  /** The same as of now: for batches, so large that others may have filled the disk meanwhile. */
  ensureNow(): Promise<void> {
    this.#checked = -Infinity
    return this.ensure()
  }
}

/** Bytes that may still be written to the disk of a folder. */
export async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}
