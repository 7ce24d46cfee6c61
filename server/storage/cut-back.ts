import { packValue, unpackValue } from '#log-format/codec.js'
import { nextSerial, type Serial } from '#log-format/serial.js'
import { digestAt } from './changelog.js'
import type { Database, RowOperation } from './database.js'
import type { EntryStore } from './entry-store.js'
import { FENCE_FACT } from './promotion.js'
import { CURSOR_ROWS, cursorRow, entryRow, factRow, HEAD_DIGEST_ROW, NOTE_ROWS, SECRET_CHANGE_ROWS, secretChangeRow, SHAPES_ROW } from './rows.js'
import { SECRETS_CURSOR } from './vault-changes.js'

/**
 * Shortens a log to end with `common`, which must be one of its serials. Rows
 * that follow from what is gone cannot be told from others, so all are to be folded
 * afresh, which the missing shapes bring about. Secrets have no history: the node
 * that is followed from now on is asked for all of them.
 */
export async function cutLogBack(db: Database, entries: EntryStore, common: Serial, facts: readonly RowOperation[]): Promise<void> {
  await db.clear(NOTE_ROWS) // a cache, some of it of entries that go
  const behind: RowOperation[] = []
  for (let serial = nextSerial(common); serial <= entries.head.serial; serial = nextSerial(serial)) behind.push({ type: 'del', key: entryRow(serial) })
  for await (const rows of db.batches({ gte: secretChangeRow(nextSerial(common)), lt: SECRET_CHANGE_ROWS.lt })) {
    for (const [key] of rows) behind.push({ type: 'del', key })
  }
  for await (const rows of db.batches(CURSOR_ROWS)) {
    for (const [key, value] of rows) if ((unpackValue(value) as Serial) > common) behind.push({ type: 'put', key, value: packValue(common) })
  }
  await db.write(
    [
      ...behind,
      ...facts,
      { type: 'put', key: HEAD_DIGEST_ROW, value: digestAt(db, common) },
      { type: 'del', key: SHAPES_ROW },
      { type: 'del', key: cursorRow(SECRETS_CURSOR) },
      { type: 'del', key: factRow(FENCE_FACT) },
    ],
    { sync: true },
  )
}
