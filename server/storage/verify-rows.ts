import type { KeyPattern } from '#log-format/key-pattern.js'
import { FOREIGN_FAMILY, keys } from '#log-format/keys.js'
import type { Database } from './database.js'
import type { RowCursor } from './row-cursor.js'
import { compareNames } from './name-order.js'
import { KEY_ROWS, nameOfKeyRow, nameOfOldRow, OLD_ROWS, PROJECTION_ROWS, segmentsOfName } from './rows.js'
import type { VerifyTools } from './verify-report.js'

const ROWS_PER_PROGRESS = 10_000

/** Compares every row that follows from the log with the one in `fresh`, byte by byte; returns how many there are. */
export async function verifyRows(input: VerifyTools & { readonly db: Database; readonly fresh: Database }): Promise<number> {
  const { db, fresh, report, progress } = input
  let done = 0
  for (const [range, nameOf] of KINDS) {
    const stored = db.cursor(range)
    const wanted = fresh.cursor(range)
    try {
      for (;;) {
        const difference = await nextPair(stored, wanted)
        if (difference === undefined) break
        const { row, fault } = difference
        if (fault !== undefined) report({ subject: 'row', message: `${nameOf(row)} ${fault}` })
        done += 1
        if (done % ROWS_PER_PROGRESS === 0) progress({ phase: 'rows', done })
      }
    } finally {
      await Promise.all([stored.close(), wanted.close()])
    }
  }
  progress({ phase: 'rows', done })
  return done
}

/** Steps over the next row of either side; says what is wrong with it. */
async function nextPair(stored: RowCursor, wanted: RowCursor): Promise<{ row: string; fault: string | undefined } | undefined> {
  const have = stored.held() ?? (await stored.peek())
  const want = wanted.held() ?? (await wanted.peek())
  if (have === undefined && want === undefined) return undefined
  const order = have === undefined ? 1 : want === undefined ? -1 : compareNames(have[0], want[0])
  if (order <= 0) stored.advance()
  if (order >= 0) wanted.advance()
  if (order > 0) return { row: want?.[0] ?? '', fault: 'is missing, though it follows from the log' }
  if (order < 0) return { row: have?.[0] ?? '', fault: 'is there, though it does not follow from the log' }
  const same = have !== undefined && want !== undefined && Buffer.compare(have[1], want[1]) === 0
  return { row: have?.[0] ?? '', fault: same ? undefined : 'is not what follows from the log' }
}

const KINDS: readonly (readonly [{ readonly gte: string; readonly lt: string }, (row: string) => string])[] = [
  [KEY_ROWS, (row) => `the value of ${keyPath(nameOfKeyRow(row))}`],
  [OLD_ROWS, (row) => `a former value of ${keyPath(nameOfOldRow(row))}`],
  [PROJECTION_ROWS, (row) => `the row ${JSON.stringify(row.slice(1).split('\0').slice(1))} of the projection ${row.slice(1).split('\0')[0]}`],
]

const PATTERNS: readonly KeyPattern<string, unknown>[] = Object.values(keys)

/** The path of a key as logged; damaged names as they are. */
function keyPath(name: string): string {
  const segments = segmentsOfName(name)
  const [family] = name.split('\0')
  if (family === FOREIGN_FAMILY && segments.length === 1) return segments[0] ?? ''
  const pattern = PATTERNS.find((candidate) => candidate.family === family)
  if (pattern === undefined || segments.length !== pattern.names.length || segments.includes('')) return JSON.stringify(name)
  let next = 0
  return pattern.pattern.replaceAll(/\{[^}]*\}/g, () => segments[next++] ?? '')
}
