import { type FileHandle, open } from 'node:fs/promises'

/** Makes renames into one folder durable; those that wait together share an fsync. */
export class FolderSync implements AsyncDisposable {
  readonly #folder: string
  #handle: Promise<FileHandle> | undefined
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
    const handle = await this.#handle?.catch(() => undefined)
    await handle?.close()
  }

  #start(): Promise<void> {
    this.#handle ??= open(this.#folder)
    const running = this.#handle
      .then((handle) => handle.sync())
      .finally(() => {
        if (this.#running === running) this.#running = undefined
      })
    this.#running = running
    return running
  }
}
