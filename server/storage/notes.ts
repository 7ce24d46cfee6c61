import { packValue, unpackValue } from '#log-format/codec.js'
import type { JsonValue } from '#log-format/values.js'
import type { Database } from './database.js'
import { noteRow } from './rows.js'

/** What is kept beside the log, because it can be found out again: a cache that outlives a restart. */
export class Notes {
  readonly #db: Database
  #isOver = false

  constructor(db: Database) {
    this.#db = db
  }

  get(name: string): JsonValue | undefined {
    const found = this.#db.get(noteRow(name))
    return found === undefined ? undefined : unpackValue(found)
  }

  /** Not synced: after a crash it may be gone, but is never of later than the log. */
  async set(name: string, note: JsonValue): Promise<void> {
    if (this.#isOver) return
    await this.#db.write([{ type: 'put', key: noteRow(name), value: packValue(note) }], { sync: false })
  }

  async drop(name: string): Promise<void> {
    if (this.#isOver) return
    await this.#db.write([{ type: 'del', key: noteRow(name) }], { sync: false })
  }

  /** The first whose names start with `prefix`, in order; with `from`, those from this name on. */
  async list(prefix: string, { from = prefix, limit }: { readonly from?: string; readonly limit: number }): Promise<(readonly [string, JsonValue])[]> {
    const found: (readonly [string, JsonValue])[] = []
    const skip = noteRow('').length
    for await (const rows of this.#db.batches({ gte: noteRow(from), lt: `${noteRow(prefix)}\u{10ffff}`, limit })) {
      for (const [row, value] of rows) found.push([row.slice(skip), unpackValue(value)])
    }
    return found
  }

  /** Nothing is written from now on, as the database is about to be closed. */
  end(): void {
    this.#isOver = true
  }
}
