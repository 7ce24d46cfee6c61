import { sliceEntry } from '#log-format/entry-slices.js'
import { type Serial, toSerial } from '#log-format/serial.js'
import type { Database, RowOperation } from './database.js'
import type { EntryStore } from './entry-store.js'
import { Fold, type FoldedRows, locateChanges, type LocatedEntry } from './fold.js'
import type { Projection } from './projection.js'
import type { EntryAt } from './head-row.js'
import { entryRow, KEY_ROWS, keyRow, OLD_ROWS, PROJECTION_ROWS } from './rows.js'
import { SeenNames } from './seen-names.js'

export interface RebuildProgress {
  readonly serial: Serial
  readonly head: Serial
}

/**
 * Deletes every row that follows from the log and folds them afresh from
 * serial 0 into `db`. On the disk only when it resolves: whoever calls it
 * notes beforehand that a rebuild is under way, and starts over after a crash.
 */
export async function rebuildRows(input: {
  readonly db: Database
  readonly entries: EntryStore
  readonly projections: readonly Projection[]
  readonly onProgress?: (progress: RebuildProgress) => void
}): Promise<void> {
  const { db, entries, projections, onProgress } = input
  await Promise.all([KEY_ROWS, OLD_ROWS, PROJECTION_ROWS].map((rows) => db.clear(rows)))
  const fold = new BatchFold(db, projections)
  let writing: Promise<void> = Promise.resolve()
  for await (const stored of entries.read(toSerial(0))) {
    const operations = await fold.batch(stored.map(({ bytes }) => locateChanges(sliceEntry(bytes))))
    await writing
    writing = db.write(operations, { sync: false })
    writing.catch(() => undefined) // thrown where it is awaited
    const last = stored.at(-1)
    if (last !== undefined) onProgress?.({ serial: last.serial, head: entries.head.serial })
  }
  await writing
  await db.flush()
}

export interface BatchFoldOptions {
  /** Where the bytes of entries are, those of this batch among them; in the database unless given. */
  readonly entryAt?: EntryAt
  /** Whether the fold begins with the first entry of a log, in a database without rows; it does unless this is false. */
  readonly isEmpty?: boolean
}

/**
 * Folds entries that follow each other, many at a time, into a database. The
 * caller writes what each call returns, at the latest before the next but one.
 */
export class BatchFold {
  readonly #db: Database
  readonly #fold: Fold
  readonly #entryAt: EntryAt
  /** What the database may have: most keys of a log are written once, and need not be looked for. Undefined: anything. */
  readonly #seen: SeenNames | undefined
  /** Of the batch before, which may still be on its way into the database. */
  #unwritten: ReadonlyMap<string, Uint8Array | undefined> = new Map()

  constructor(db: Database, projections: readonly Projection[], options: BatchFoldOptions = {}) {
    this.#db = db
    this.#entryAt = options.entryAt ?? ((serial) => db.get(entryRow(serial)))
    this.#seen = options.isEmpty === false ? undefined : new SeenNames()
    this.#fold = new Fold(projections)
  }

  /** Rows of entries that follow each other. The values before them are fetched in one go. */
  async batch(located: readonly LocatedEntry[]): Promise<readonly RowOperation[]> {
    const before = await this.#rowsBefore(located)
    const folded: FoldedRows = { operations: [], rows: new Map() }
    const { rows } = folded
    const unwritten = this.#unwritten
    const head = { row: (name: string) => (rows.has(name) ? rows : unwritten.has(name) ? unwritten : before).get(name), entryAt: this.#entryAt }
    for (const entry of located) this.#fold.entry(entry, head, folded)
    this.#unwritten = rows
    return folded.operations
  }

  async #rowsBefore(entries: readonly LocatedEntry[]): Promise<ReadonlyMap<string, Uint8Array | undefined>> {
    const wanted = new Set<string>()
    for (const { changes } of entries) {
      for (const { name } of changes) {
        if (this.#seen?.mayHaveHad(name) !== false && !this.#unwritten.has(name)) wanted.add(name)
      }
    }
    if (wanted.size === 0) return new Map()
    const names = [...wanted]
    const found = await this.#db.getMany(names.map(keyRow))
    return new Map(names.map((name, at) => [name, found[at]]))
  }
}
