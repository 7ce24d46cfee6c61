import { unpackValue } from '#log-format/codec.js'
import type { Key, KeyRange } from '#log-format/key-pattern.js'
import type { Serial } from '#log-format/serial.js'
import type { Stored } from '#log-format/values.js'
import type { Database } from './database.js'
import { type EntryAt, type ReadValue, storedIn } from './head-row.js'
import { mergeAt, scannedAs } from './past-scan.js'
import { type ChangedKeys, RecentChanges } from './recent-changes.js'
import type { Reader, ScannedKey } from './reader.js'
import {
  endOfOldRows,
  entryRow,
  keyName,
  keyRow,
  nameOfKeyRow,
  nameRange,
  oldRow,
  stampOf,
  withoutStamp,
} from './rows.js'

/**
 * Every key at every serial. A key's value at head is one row; a value that
 * was replaced or deleted moves to an old row that says until when it held.
 * So a read at head touches nothing old, a key that never changed costs
 * nothing twice, and a read at a past serial is one seek for each key.
 */
export class Keyspace {
  readonly #db: Database
  readonly #recent: RecentChanges
  readonly #entryAt: EntryAt

  constructor(db: Database, head: Serial) {
    this.#db = db
    this.#recent = new RecentChanges(head)
    this.#entryAt = (serial) => db.get(entryRow(serial))
  }

  /** To be called before a batch is handed to the database. */
  writeStarts(entries: readonly ChangedKeys[]): void {
    this.#recent.add(entries)
  }

  headRow(name: string): Uint8Array | undefined {
    return this.#db.get(keyRow(name))
  }

  readerAt(serial: Serial): Reader {
    return {
      serial,
      get: async (key) => (await this.#find(key, serial))?.value,
      find: (key) => this.#find(key, serial),
      scan: (range) => this.#scan(range, serial),
      scanBatches: (range, read) => this.#scanBatches(range, serial, read),
      formerValues: (key) => this.#formerValues(key, serial),
      existed: async (key) =>
        (await this.#find(key, serial)) !== undefined || (await this.#oldRowUpTo(keyName(key.family, key.segments), serial)) !== undefined,
    }
  }

  async #find<V>(key: Key<V>, serial: Serial): Promise<Stored<V> | undefined> {
    const name = keyName(key.family, key.segments)
    // The head row is read before the old ones: a commit in between moves a row from here to there, never back.
    const settled = this.#recent.isUnchangedSince(name, serial)
    const row = this.#db.get(keyRow(name))
    if (row !== undefined && stampOf(row) <= serial) return storedIn(row, this.#entryAt)
    if (settled) return undefined
    const old = await this.#oldRowUpTo(name, serial)
    return old !== undefined && stampOf(old) > serial ? storedIn(withoutStamp(old), this.#entryAt) : undefined
  }

  /** The newest old row whose value began at or before `serial`: when it ended, then the row it was. */
  async #oldRowUpTo(name: string, serial: Serial): Promise<Uint8Array | undefined> {
    const from = oldRow(name, serial)
    const found = await this.#db.first({ gte: from, lt: endOfOldRows(name) })
    return found?.[1]
  }

  async *#formerValues<V>(key: Key<V>, serial: Serial): AsyncGenerator<V> {
    const name = keyName(key.family, key.segments)
    for await (const rows of this.#db.batches({ gte: oldRow(name, serial), lt: endOfOldRows(name) })) {
      for (const [, row] of rows) {
        if (stampOf(row) <= serial) yield storedIn<V>(withoutStamp(row), this.#entryAt).value
      }
    }
  }

  async *#scan<V>(range: KeyRange<V>, serial: Serial): AsyncGenerator<ScannedKey<V>> {
    for await (const batch of this.#scanBatches(range, serial, (bytes, start) => unpackValue(bytes.subarray(start)) as V)) yield* batch
  }

  async *#scanBatches<T>(range: KeyRange<unknown>, serial: Serial, read: ReadValue<T>): AsyncGenerator<readonly ScannedKey<T>[]> {
    const { from, to } = nameRange(range.family, range.segments)
    const settled = this.#recent.newest <= serial
    const heads = { gte: keyRow(from), lt: keyRow(to) }
    if (settled) {
      for await (const rows of this.#db.batches(heads)) {
        yield rows.map(([row, bytes]) => scannedAs(nameOfKeyRow(row), bytes, this.#entryAt, read))
      }
      return
    }
    // Opened in this order for the reason given in #find.
    const current = this.#db.cursor(heads)
    const old = this.#db.cursor({ gte: `o${from}`, lt: `o${to}` })
    try {
      yield* mergeAt({ current, old, from, serial, entryAt: this.#entryAt, read })
    } finally {
      await Promise.all([current.close(), old.close()])
    }
  }
}
