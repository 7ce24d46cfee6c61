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
 * serial 0 into `db`. Not synced entry by entry: whoever calls it notes
 * beforehand that a rebuild is under way, and starts over after a crash.
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
  for await (const stored of entries.read(toSerial(0))) {
    const batch = stored.map(({ bytes }) => sliceEntry(bytes))
    await writing
    const operations = await foldBatch(db, batch, projections)
    writing = db.write(operations, { sync: false })
    const last = stored.at(-1)
    if (last !== undefined) onProgress?.({ serial: last.serial, head: entries.head.serial })
  }
  await writing
}

/** Rows of entries that follow each other; the values before them are fetched in one go. */
export async function foldBatch(
  db: Database,
  batch: readonly EntrySlices[],
  projections: readonly Projection[],
): Promise<RowOperation[]> {
  const names = new Set<string>()
  for (const { changes } of batch) {
    for (const { path } of changes) {
      const { family, segments } = locatePath(path)
      names.add(keyName(family, segments))
    }
  }
  const list = [...names]
  const found = await db.getMany(list.map(keyRow))
  const rows = new Map(list.map((name, at) => [name, found[at]]))

  const operations: RowOperation[] = []
  for (const entry of batch) {
    const folded = foldEntry(entry, { row: (name) => rows.get(name) }, projections)
    for (const operation of folded.operations) operations.push(operation)
    for (const [name, row] of folded.rows) rows.set(name, row)
  }
  return operations
}
