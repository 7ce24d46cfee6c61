import { digestHex, entryDigest } from '#log-format/chain.js'
import { decodeEntry } from '#log-format/codec.js'
import type { Entry } from '#log-format/entry.js'
import { sliceEntry } from '#log-format/entry-slices.js'
import { NO_SERIAL, nextSerial, type Serial } from '#log-format/serial.js'
import type { Database } from './database.js'
import { locateChanges, type LocatedEntry } from './fold.js'
import type { Projection } from './projection.js'
import { BatchFold } from './rebuild.js'
import { ENTRY_ROWS, entryRow, HEAD_DIGEST_ROW, serialOfEntryRow } from './rows.js'
import type { VerifyTools } from './verify-report.js'

interface EntriesInput extends VerifyTools {
  readonly db: Database
  /** Takes the rows that follow from the log. */
  readonly fresh: Database
  readonly projections: readonly Projection[]
}

/** Checks every entry and folds those that can be read into `fresh`. */
export async function verifyEntries(input: EntriesInput): Promise<{ readonly entries: number; readonly head: Serial }> {
  const { db, fresh, projections, report, progress } = input
  const chain = new ChainCheck((message) => report({ subject: 'entry', message }))
  const fold = new BatchFold(fresh, projections, { entryAt: (serial) => db.get(entryRow(serial)) })
  let entries = 0
  for await (const rows of db.batches(ENTRY_ROWS)) {
    const batch: LocatedEntry[] = []
    for (const [row, bytes] of rows) {
      const serial = serialOf(row)
      if (serial === undefined) {
        report({ subject: 'row', message: `the row ${JSON.stringify(row)} among the entries is none` })
      } else if (chain.next(serial, bytes)) {
        batch.push(locateChanges({ ...sliceEntry(bytes), serial }))
      }
    }
    await fresh.write(await fold.batch(batch), { sync: false })
    entries += rows.length
    progress({ phase: 'entries', done: entries })
  }
  chain.end(db.get(HEAD_DIGEST_ROW))
  return { entries, head: chain.newest }
}

function serialOf(row: string): Serial | undefined {
  const serial = Number(row.slice(1))
  return Number.isSafeInteger(serial) && serial >= 0 && row === entryRow(serial as Serial) ? serialOfEntryRow(row) : undefined
}

/** The entry before, as far as it could be read. */
interface Link {
  readonly entry: Entry
  readonly digest: Uint8Array
}

/**
 * Says of every entry whether it is what the chain says. An entry is vouched
 * for by its successor, which names its digest as parent; the newest one by
 * the digest noted when it was written.
 */
class ChainCheck {
  newest: Serial = NO_SERIAL
  #before: Link | undefined
  readonly #report: (message: string) => void

  constructor(report: (message: string) => void) {
    this.#report = report
  }

  /** Whether the entry can be folded. */
  next(serial: Serial, bytes: Uint8Array): boolean {
    const before = this.#before
    const expected = nextSerial(this.newest)
    if (serial !== expected) this.#reportMissing(expected, serial)
    this.newest = serial
    this.#before = undefined

    const entry = this.#decode(serial, bytes)
    if (entry === undefined) {
      if (before !== undefined) this.#report(`nothing vouches for entry ${before.entry.serial}, because entry ${serial} after it is damaged`)
      return false
    }
    if (serial === expected && before !== undefined) this.#checkLink(before, entry, serial)
    if (serial === 0 && entry.parent.some((byte) => byte !== 0)) {
      this.#report('entry 0 is damaged: it names a parent, and there is nothing before it')
    }
    this.#before = { entry: { ...entry, serial }, digest: entryDigest(entry.parent, bytes) }
    return true
  }

  end(noted: Uint8Array | undefined): void {
    if (this.newest === NO_SERIAL) {
      if (noted !== undefined) this.#report('all entries are missing, from entry 0 to the one whose digest is noted as the newest')
      return
    }
    const before = this.#before
    if (before === undefined) return // damaged itself, and reported
    if (noted === undefined) {
      this.#report(`nothing vouches for entry ${this.newest}, because the note of the newest digest is missing`)
    } else if (Buffer.compare(noted, before.digest) !== 0) {
      this.#report(
        `entry ${this.newest} is damaged, or entries after it are missing: its digest is ${digestHex(before.digest)}, noted is ${digestHex(noted)}`,
      )
    }
  }

  #reportMissing(expected: Serial, serial: Serial): void {
    const last = serial - 1
    this.#report(last === expected ? `entry ${expected} is missing` : `entries ${expected} to ${last} are missing`)
  }

  #decode(serial: Serial, bytes: Uint8Array): Entry | undefined {
    try {
      const entry = decodeEntry(bytes)
      if (entry.serial !== serial) this.#report(`entry ${serial} is damaged: it says that it is entry ${entry.serial}`)
      return entry
    } catch (error) {
      this.#report(`entry ${serial} is damaged: ${error instanceof Error ? error.message : String(error)}`)
      return undefined
    }
  }

  #checkLink(before: Link, entry: Entry, serial: Serial): void {
    if (Buffer.compare(entry.parent, before.digest) !== 0) {
      this.#report(
        `entry ${before.entry.serial} is damaged, or the parent in entry ${serial} is: ` +
          `the digest is ${digestHex(before.digest)}, the parent ${digestHex(entry.parent)}`,
      )
    }
    if (entry.time < before.entry.time) this.#report(`the time of entry ${serial} is before that of entry ${before.entry.serial}`)
    if (entry.epoch < before.entry.epoch) this.#report(`the epoch of entry ${serial} is below that of entry ${before.entry.serial}`)
  }
}
