import { type EntrySlices, sliceEntry } from '#log-format/entry-slices.js'
import { locatePath } from '#log-format/keys.js'
import { type Serial, toSerial } from '#log-format/serial.js'
import type { Database, RowOperation } from './database.js'
import type { EntryStore } from './entry-store.js'
import { foldEntry } from './fold.js'
import type { Projection } from './projection.js'
import { KEY_ROWS, keyName, keyRow, OLD_ROWS, PROJECTION_ROWS } from './rows.js'

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
  await db.clear(KEY_ROWS)
  await db.clear(OLD_ROWS)
  await db.clear(PROJECTION_ROWS)
  let writing: Promise<void> = Promise.resolve()
  let unwritten: HeadRowMap = new Map()
  for await (const stored of entries.read(toSerial(0))) {
    const batch = stored.map(({ bytes }) => sliceEntry(bytes))
    const { operations, rows } = await foldBatch({ db, batch, projections, unwritten })
    await writing
    writing = db.write(operations, { sync: false })
    writing.catch(() => undefined) // thrown where it is awaited
    unwritten = rows
    const last = stored.at(-1)
    if (last !== undefined) onProgress?.({ serial: last.serial, head: entries.head.serial })
  }
  await writing
  await db.flush()
}

/** Head rows by key name; undefined where there is none. */
export type HeadRowMap = ReadonlyMap<string, Uint8Array | undefined>

/**
 * Rows of entries that follow each other. The values before them are fetched
 * in one go; those of the batch before, which may still be on its way into
 * the database, are looked up in `unwritten`.
 */
export async function foldBatch(input: {
  readonly db: Database
  readonly batch: readonly EntrySlices[]
  readonly projections: readonly Projection[]
  readonly unwritten: HeadRowMap
}): Promise<{ readonly operations: readonly RowOperation[]; readonly rows: HeadRowMap }> {
  const { db, batch, projections, unwritten } = input
  const names = new Set<string>()
  for (const { changes } of batch) {
    for (const { path } of changes) {
      const { family, segments } = locatePath(path)
      names.add(keyName(family, segments))
    }
  }
  const wanted = [...names].filter((name) => !unwritten.has(name))
  const found = await db.getMany(wanted.map(keyRow))
  const before = new Map(wanted.map((name, at) => [name, found[at]]))

  const operations: RowOperation[] = []
  const rows = new Map<string, Uint8Array | undefined>()
  const head = { row: (name: string) => (rows.has(name) ? rows : unwritten.has(name) ? unwritten : before).get(name) }
  for (const entry of batch) {
    const folded = foldEntry(entry, head, projections)
    for (const operation of folded.operations) operations.push(operation)
    for (const [name, row] of folded.rows) rows.set(name, row)
  }
  return { operations, rows }
}
