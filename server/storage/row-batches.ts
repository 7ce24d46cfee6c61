/** Rows taken from LevelDB at a time: enough to amortise the hop to its thread, few enough to decode beside it. */
export const ROWS_AT_A_TIME = 256

/** A key and its value, as they lie in a database. */
export type Row = [string, Uint8Array]

export interface RowIterator {
  nextv(size: number): Promise<Row[]>
  close(): Promise<void>
}

/** All rows of an iterator, which is closed at the end, so many at a time; the next ones are fetched while some are looked at. */
export async function* batchesOf(iterator: RowIterator, size: number): AsyncGenerator<Row[]> {
  try {
    let rows = await iterator.nextv(size)
    while (rows.length > 0) {
      const next = iterator.nextv(size)
      next.catch(() => undefined) // thrown below, unless the caller stops before
      yield rows
      rows = await next
    }
  } finally {
    await iterator.close()
  }
}

/** The first row of an iterator, which is closed. */
export async function firstOf(iterator: RowIterator): Promise<Row | undefined> {
  try {
    return (await iterator.nextv(1))[0]
  } finally {
    await iterator.close()
  }
}
