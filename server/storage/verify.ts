import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { NO_SERIAL, type Serial } from '#log-format/serial.js'
import { Database } from './database.js'
import type { Projection } from './projection.js'
import { verifyBlobs, type VerifiableBlobs } from './verify-blobs.js'
import { verifyEntries } from './verify-entries.js'
import type { Finding, VerifyProgress } from './verify-report.js'
import { verifyRows } from './verify-rows.js'

export interface VerifyInput {
  /** The server directory; nobody else may have its database open. */
  readonly folder: string
  readonly projections: readonly Projection[]
  /** Left out: blobs are not looked at. */
  readonly blobs?: VerifiableBlobs
  readonly onFinding: (finding: Finding) => void
  readonly onProgress?: (progress: VerifyProgress) => void
}

export interface VerifyReport {
  /** Serial of the newest entry found. */
  readonly head: Serial
  readonly entries: number
  readonly rows: number
  /** Blobs that something current names, each counted once. */
  readonly blobs: number
  /** Blobs that nothing current names: history, or left by a crash. No finding. */
  readonly unnamedBlobs: number
  readonly findings: number
}

/**
 * Checks a whole store that nobody has open: every entry by itself and in its
 * chain; every row against a fresh fold of the log, made in a database beside
 * it that is deleted afterwards; every blob that a current link names. Goes on
 * behind what is damaged and repairs nothing. Memory does not grow with the
 * store. Refuses `conflict` when the store is in use.
 */
export async function verifyStore(input: VerifyInput): Promise<VerifyReport> {
  let findings = 0
  const report = (finding: Finding): void => {
    findings += 1
    input.onFinding(finding)
  }
  const progress = input.onProgress ?? (() => undefined)
  const counts = { head: NO_SERIAL, entries: 0, rows: 0, blobs: 0, unnamedBlobs: 0 }
  const scratch = await mkdtemp(join(input.folder, 'verify-'))
  try {
    await using db = await Database.open(join(input.folder, 'db'), { mustExist: true })
    await using fresh = await Database.open(scratch)
    const { projections, blobs } = input
    await readable('entries', report, async () => {
      Object.assign(counts, await verifyEntries({ db, fresh, projections, report, progress }))
    })
    await readable('rows', report, async () => {
      counts.rows = await verifyRows({ db, fresh, report, progress })
    })
    if (blobs !== undefined) Object.assign(counts, await verifyBlobs({ fresh, blobs, report, progress }))
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
  return { ...counts, findings }
}

/** A file that LevelDB itself finds damaged ends one part of the check, not the whole. */
async function readable(what: string, report: (finding: Finding) => void, check: () => Promise<void>): Promise<void> {
  try {
    await check()
  } catch (error) {
    if (!isLevelError(error)) throw error
    report({ subject: 'database', message: `the ${what} could not all be read, because a file of the database is damaged: ${error.message}` })
  }
}

function isLevelError(error: unknown): error is { readonly code: string; readonly message: string } {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  return typeof code === 'string' && code.startsWith('LEVEL_')
}
