import { close, fsync, open } from 'node:fs'
import { promisify } from 'node:util'

// Descriptors instead of FileHandles: half the work on the main thread.
const openFd = promisify(open)
const fsyncFd = promisify(fsync)
const closeFd = promisify(close)

/** Makes renames into one folder durable; those that wait together share an fsync. */
export class FolderSync implements AsyncDisposable {
  readonly #folder: string
  #fd: Promise<number> | undefined
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Resolves after an fsync that started after this call. */
  sync(): Promise<void> {
    if (this.#running === undefined) return this.#start()
    // The running fsync may have begun before the caller's rename.
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined
        return this.#start()
      })
    return this.#next
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const fd = await this.#fd?.catch(() => undefined)
    if (fd !== undefined) await closeFd(fd)
  }

  #start(): Promise<void> {
    this.#fd ??= this.#open()
    const running = this.#fd.then(fsyncFd).finally(() => {
      if (this.#running === running) this.#running = undefined
    })
    this.#running = running
    return running
  }

  #open(): Promise<number> {
    const opening = openFd(this.#folder, 'r')
    opening.catch(() => { this.#fd = undefined }) // the next one tries again
    return opening
  }
}
