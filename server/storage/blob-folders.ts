import { mkdir, readdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { FolderSync } from './folder-sync.js'

/** By the first two digits of a blob. */
const NAMES = Array.from({ length: 256 }, (_, at) => at.toString(16).padStart(2, '0'))

/** The folders in which blobs lie. */
export class BlobFolders implements AsyncDisposable {
  readonly names: readonly string[] = NAMES
  readonly #folder: string
  readonly #syncs = new Map<string, FolderSync>()
  /** Folders that are being made again. */
  readonly #making = new Map<string, Promise<void>>()

  constructor(folder: string) {
    this.#folder = folder
  }

  /**
   * Makes those that are missing: a folder made for an upload would have to reach the disk before its file does.
   * Where a full disk has no room for all of them it is left as it was, and keeps nobody from reading.
   */
  async make(): Promise<void> {
    const there = new Set(await readdir(this.#folder))
    const missing = NAMES.filter((name) => !there.has(name))
    let fits = true
    await Promise.all(missing.map((name) => mkdir(this.path(name)).catch((error: unknown) => {
      if (!isFull(error)) throw error
      fits = false
    })))
    if (!fits) await Promise.allSettled(missing.map((name) => rmdir(this.path(name)))) // the database needs the little there is
    await this.#syncAll() // an earlier process may have died between making a folder and this
  }

  path(name: string): string {
    return join(this.#folder, name)
  }

  /** Makes the renames into one of them durable. */
  sync(name: string): Promise<void> {
    let sync = this.#syncs.get(name)
    if (sync === undefined) {
      sync = new FolderSync(this.path(name))
      this.#syncs.set(name, sync)
    }
    return sync.sync()
  }

  /** Renames a file into one of them. Who tidies up while the server runs may have removed the folder, as it was empty. */
  async moveInto(name: string, move: () => Promise<void>): Promise<void> {
    try {
      await move()
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
      await this.#makeAgain(name)
      await move()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#making.values())
    for (const sync of this.#syncs.values()) await sync[Symbol.asyncDispose]()
  }

  /** All who wait for it wait until it is durable. */
  #makeAgain(name: string): Promise<void> {
    let making = this.#making.get(name)
    if (making === undefined) {
      making = this.#makeOne(name).finally(() => this.#making.delete(name))
      this.#making.set(name, making)
    }
    return making
  }

  async #makeOne(name: string): Promise<void> {
    try {
      await mkdir(this.path(name)) // not `recursive`, which says ENOENT where a disk is full
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return
      throw error
    }
    await this.#syncAll()
    const old = this.#syncs.get(name) // of the folder that is gone
    this.#syncs.delete(name)
    await old?.[Symbol.asyncDispose]()
  }

  async #syncAll(): Promise<void> {
    await using sync = new FolderSync(this.#folder)
    await sync.sync()
  }
}

/** Whether the disk is full, or a quota used up. */
export function isFull(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'ENOSPC' || code === 'EDQUOT'
}

/** Of an error of the system. */
export function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
}
