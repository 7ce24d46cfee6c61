import { type FileHandle, open, rm } from 'node:fs/promises'

/** A file being written; opened by the first write. */
export class TempFile {
  readonly path: string
  #handle: FileHandle | undefined
  #synced: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor(path: string) {
    this.path = path
  }

  async write(chunks: readonly Uint8Array[], bytes: number): Promise<void> {
    this.#handle ??= await open(this.path, 'wx')
    if (bytes === 0) return
    const { bytesWritten } = await this.#handle.writev([...chunks])
    // A short write is rare: the rest, or the reason why not, comes with the next one.
    if (bytesWritten < bytes) await this.#handle.writeFile(Buffer.concat(chunks).subarray(bytesWritten))
  }

  /** Puts what was written on the disk; the file takes nothing more. Asked for again, it is the same work. */
  sync(): Promise<void> {
    this.#synced ??= this.#syncAndClose()
    return this.#synced
  }

  /** Safe after anything that went wrong. */
  async remove(): Promise<void> {
    await this.#synced?.catch(() => undefined)
    await this.#closing
    await this.#close()
    await rm(this.path, { force: true })
  }

  async #syncAndClose(): Promise<void> {
    const handle = this.#handle
    try {
      await handle?.sync()
    } finally {
      this.#closing = this.#close().catch(() => undefined) // what was synced is safe: nobody has to wait for it
    }
  }

  async #close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    await handle?.close()
  }
}
