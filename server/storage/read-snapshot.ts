import { entryDigest } from '#log-format/chain.js'
import { readEntry } from '#log-format/codec.js'
import { NO_SERIAL } from '#log-format/serial.js'
import type { Database } from './database.js'
import { STORE_FORMAT } from './open.js'
import { ENTRY_ROWS, KEY_ROWS, OLD_ROWS, PROJECTION_ROWS, SHAPES_ROW, serialOfEntryRow } from './rows.js'
import { SnapshotWriter } from './snapshot-blocks.js'

/** What another node makes the same of from the same log: neither secrets, nor what is kept beside the log, nor what the node is. */
export const SNAPSHOT_ROWS = [ENTRY_ROWS, KEY_ROWS, OLD_ROWS, PROJECTION_ROWS] as const

/**
 * The log and all that was folded from it, as of the moment of the first
 * step, in frames that are to be sent as they are. One is made at a time.
 */
export async function* readSnapshot(db: Database): AsyncGenerator<Uint8Array> {
  await using view = db.view()
  const newest = await view.last(ENTRY_ROWS)
  const shapes = await view.get(SHAPES_ROW)
  const serial = newest === undefined ? NO_SERIAL : serialOfEntryRow(newest[0])
  const digest = newest === undefined ? new Uint8Array(32) : entryDigest(readEntry(newest[1]).parent, newest[1])
  const writer = new SnapshotWriter()
  yield writer.head({ format: STORE_FORMAT, serial, digest, shapes: shapes ?? new Uint8Array() })
  for (const range of SNAPSHOT_ROWS) {
    for await (const rows of view.batches(range)) yield writer.rows(rows)
  }
  yield writer.end()
}
