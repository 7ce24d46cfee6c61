import { close, closeSync, fsync, open, rename, writev } from 'node:fs'
import { rm } from 'node:fs/promises'
import { promisify } from 'node:util'

// Descriptors instead of FileHandles: half the work on the main thread for each small file.
const openFd = promisify(open)
const fsyncFd = promisify(fsync)
const closeFd = promisify(close)
const renameFile = promisify(rename)

/** A file being written; opened by the first write. */
export class TempFile {
  readonly path: string
  #fd: number | undefined
  #written: Promise<void> = Promise.resolve()
  #synced: Promise<void> | undefined

  constructor(path: string) {
    this.path = path
  }

  /** One write at a time. Who does not wait for it hears of a failure from `moveTo` or `sync`. */
  write(chunks: readonly Uint8Array[], bytes: number): Promise<void> {
    this.#written = this.#write(chunks, bytes)
    this.#written.catch(() => undefined)
    return this.#written
  }

  /** Puts what was written on the disk; the file takes nothing more. Asked for again, it is the same work. */
  sync(): Promise<void> {
    this.#synced ??= this.#syncAndClose()
    return this.#synced
  }

  /** Whether the sync was asked for. */
  get isSynced(): boolean {
    return this.#synced !== undefined
  }

  /** Renames what was written, whether or not it is on the disk. */
  async moveTo(path: string): Promise<void> {
    await this.#written
    await renameFile(this.path, path)
  }

  /** Safe after anything that went wrong; does nothing about a file that was moved. */
  async remove(): Promise<void> {
    await this.#written.catch(() => undefined)
    await this.#synced?.catch(() => undefined)
    const fd = this.#takeFd()
    if (fd !== undefined) await closeFd(fd)
    await rm(this.path, { force: true })
  }

  async #write(chunks: readonly Uint8Array[], bytes: number): Promise<void> {
    this.#fd ??= await openFd(this.path, 'wx')
    for (let left = chunks, written = 0; written < bytes; ) {
      const now = await writeSome(this.#fd, left)
      written += now
      if (written < bytes) left = withoutFirst(left, now) // a short write is rare: the rest, or the reason why not, comes with the next one
    }
  }

  async #syncAndClose(): Promise<void> {
    await this.#written
    const fd = this.#takeFd()
    if (fd === undefined) return
    try {
      await fsyncFd(fd)
    } finally {
      closeSync(fd) // what was synced waits for no disk
    }
  }

  #takeFd(): number | undefined {
    const fd = this.#fd
    this.#fd = undefined
    return fd
  }
}

function writeSome(fd: number, chunks: readonly Uint8Array[]): Promise<number> {
  return new Promise((resolve, reject) => {
    writev(fd, chunks, (error, written) => {
      if (error === null) resolve(written)
      else reject(error)
    })
  })
}

function withoutFirst(chunks: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  return [Buffer.concat(chunks).subarray(bytes)]
}
