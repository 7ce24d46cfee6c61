import type { Serial } from '#log-format/serial.js'
import { type EntryAt, type ReadValue, readValue, storedIn } from './head-row.js'
import { compareNames } from './name-order.js'
import type { ScannedKey } from './reader.js'
import type { RowCursor } from './row-cursor.js'
import {
  endOfOldRows,
  nameOfKeyRow,
  nameOfOldRow,
  oldRow,
  segmentsOfName,
  stampOf,
  withoutStamp,
} from './rows.js'

/** Old rows of one key walked over before the cursor jumps instead. */
const STEPS_BEFORE_SEEK = 8
const KEYS_AT_A_TIME = 500

export interface PastScan<T> {
  /** Head rows of the names from `from` on. */
  readonly current: RowCursor
  /** Old rows of the same names, seen no earlier than the head rows. */
  readonly old: RowCursor
  readonly from: string
  readonly serial: Serial
  readonly entryAt: EntryAt
  readonly read: ReadValue<T>
}

/** Merges head rows with old rows, both in order of names, into what stood at the serial. */
export async function* mergeAt<T>({ current, old, from, serial, entryAt, read }: PastScan<T>): AsyncGenerator<readonly ScannedKey<T>[]> {
  let batch: ScannedKey<T>[] = []
  for (;;) {
    const head = current.held() ?? (await current.peek())
    const past = old.held() ?? (await old.peek())
    if (head === undefined && past === undefined) break
    const headName = head === undefined ? undefined : nameOfKeyRow(head[0])
    const pastName = past === undefined ? undefined : nameOfOldRow(past[0])

    if (head !== undefined && headName !== undefined && comesFirst(headName, pastName)) {
      current.advance()
      if (stampOf(head[1]) <= serial) {
        batch.push(scannedAs(headName, head[1], entryAt, read))
        if (pastName === headName) await skipName(old, headName)
      }
    } else if (pastName !== undefined) {
      const row = await oldRowAt(old, pastName, serial)
      // The rows of a name that is itself the start of the range lie in it, the name does not.
      const inRange = pastName.length >= from.length
      if (inRange && row !== undefined && stampOf(row) > serial) batch.push(scannedAs(pastName, withoutStamp(row), entryAt, read))
      await skipName(old, pastName)
    }
    if (batch.length >= KEYS_AT_A_TIME) {
      yield batch
      batch = []
    }
  }
  if (batch.length > 0) yield batch
}

/** A key out of its head row, or out of what was its head row. */
export function scanned<V>(name: string, row: Uint8Array, entryAt: EntryAt): ScannedKey<V> {
  return { segments: segmentsOfName(name), ...storedIn<V>(row, entryAt) }
}

/** The same of a value that is not built whole. */
export function scannedAs<T>(name: string, row: Uint8Array, entryAt: EntryAt, read: ReadValue<T>): ScannedKey<T> {
  return { segments: segmentsOfName(name), value: readValue(row, entryAt, read), serial: stampOf(row) }
}

function comesFirst(headName: string, pastName: string | undefined): boolean {
  return pastName === undefined || compareNames(headName, pastName) <= 0
}

/** Moves to the newest old row of `name` that began at or before `serial`; undefined when there is none. */
async function oldRowAt(old: RowCursor, name: string, serial: Serial): Promise<Uint8Array | undefined> {
  const wanted = oldRow(name, serial)
  for (let steps = 0; ; steps += 1) {
    const row = old.held() ?? (await old.peek())
    if (row === undefined || nameOfOldRow(row[0]) !== name) return undefined
    if (row[0] >= wanted) return row[1]
    if (steps >= STEPS_BEFORE_SEEK) old.seek(wanted)
    else old.advance()
  }
}

async function skipName(old: RowCursor, name: string): Promise<void> {
  for (let steps = 0; ; steps += 1) {
    const row = old.held() ?? (await old.peek())
    if (row === undefined || nameOfOldRow(row[0]) !== name) return
    if (steps >= STEPS_BEFORE_SEEK) old.seek(endOfOldRows(name))
    else old.advance()
  }
}
