import { createReadStream, existsSync } from 'node:fs'
import { join } from 'node:path'
import { digestHex, entryDigest } from '#log-format/chain.js'
import { decodeEntry } from '#log-format/codec.js'
import type { Entry } from '#log-format/entry.js'
import { FrameReader } from '#log-format/framing.js'
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

/** Entries of a file of frames, such as a rejoining server writes to `set-aside`. */
export async function* framedEntries(file: string): AsyncGenerator<LoggedEntry> {
  if (!existsSync(file)) throw new ArgumentFault(`there is no file ${file}`)
  const reader = new FrameReader()
  for await (const piece of createReadStream(file) as AsyncIterable<Buffer>) {
    for (const { bytes } of reader.push(piece)) {
      const entry = decodeEntry(bytes)
      yield { entry, bytes, digest: digestHex(entryDigest(entry.parent, bytes)) }
    }
  }
  if (reader.pending > 0) throw new ArgumentFault(`${file} ends within an entry`)
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
