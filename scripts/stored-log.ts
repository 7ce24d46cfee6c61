import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { digestHex, entryDigest } from '#log-format/chain.js'
import { decodeEntry } from '#log-format/codec.js'
import type { Entry } from '#log-format/entry.js'
import { toSerial } from '#log-format/serial.js'
import { Changelog } from '#server/storage/changelog.js'
import { Database } from '#server/storage/database.js'
import { ArgumentFault } from './arguments.js'

export interface LoggedEntry {
  readonly entry: Entry
  /** Canonical bytes. */
  readonly bytes: Uint8Array
  /** Hex. */
  readonly digest: string
}

/** The log of a server directory that no server uses. The vault of secrets is not read, nor could it be from here. */
export class StoredLog implements AsyncDisposable {
  readonly #db: Database
  readonly #changelog: Changelog

  private constructor(db: Database, changelog: Changelog) {
    this.#db = db
    this.#changelog = changelog
  }

  static async open(serverDir: string): Promise<StoredLog> {
    if (!existsSync(join(serverDir, 'db'))) throw new ArgumentFault(`${serverDir} is no server directory`)
    const db = await Database.open(join(serverDir, 'db'), { mustExist: true })
    try {
      return new StoredLog(db, await Changelog.open(db))
    } catch (error) {
      await db.close()
      throw error
    }
  }

  /** Serial of the newest entry. */
  get head(): number {
    return this.#changelog.head.serial
  }

  /** Entries from one serial to another, both included. */
  async *entries(from: number, to: number): AsyncGenerator<LoggedEntry> {
    for await (const stored of this.#changelog.read(toSerial(from), toSerial(Math.min(to, this.head) + 1))) {
      for (const { bytes } of stored) {
        const entry = decodeEntry(bytes)
        yield { entry, bytes, digest: digestHex(entryDigest(entry.parent, bytes)) }
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#db.close()
  }
}
