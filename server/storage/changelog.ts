import { type ChainHead, digestHex, EMPTY_CHAIN, entryDigest } from '#log-format/chain.js'
import { decodeEntry, readEntry } from '#log-format/codec.js'
import { ChainError } from '#log-format/errors.js'
import { nextSerial, type Serial, toSerial } from '#log-format/serial.js'
import type { Database } from './database.js'
import type { Append, EntryStore, StoredEntry } from './entry-store.js'
import { ENTRY_ROWS, entryRow, HEAD_DIGEST_ROW, serialOfEntryRow } from './rows.js'

/** The log in LevelDB: an entry and the rows that follow from it are one batch. */
export class Changelog implements EntryStore {
  readonly #db: Database
  #head: ChainHead

  private constructor(db: Database, head: ChainHead) {
    this.#db = db
    this.#head = head
  }

  static async open(db: Database): Promise<Changelog> {
    return new Changelog(db, await headIn(db))
  }

  async refresh(): Promise<boolean> {
    const { serial } = this.#head
    this.#head = await headIn(this.#db)
    return this.#head.serial > serial
  }

  get head(): ChainHead {
    return this.#head
  }

  async append({ expected, entries, head, rows }: Append): Promise<void> {
    if (this.#head.serial !== expected) {
      throw new Error(`the log is at serial ${this.#head.serial}, not at ${expected}`)
    }
    const operations = entries.map(({ serial, bytes }) => ({ type: 'put' as const, key: entryRow(serial), value: bytes }))
    const digest = { type: 'put' as const, key: HEAD_DIGEST_ROW, value: head.digest }
    await this.#db.write([...operations, ...rows, digest], { sync: true })
    this.#head = head
  }

  async *read(from: Serial, to: Serial = nextSerial(this.#head.serial)): AsyncGenerator<readonly StoredEntry[]> {
    const end = Math.min(to, nextSerial(this.#head.serial)) // one behind it may be there before it is the head
    if (from >= end) return
    for await (const rows of this.#db.batches({ gte: entryRow(from), lt: entryRow(toSerial(end)) })) {
      yield rows.map(([row, bytes]) => ({ serial: serialOfEntryRow(row), bytes }))
    }
  }
}

/** The bytes of one entry. Throws where there is none. */
export function entryAt(db: Database, serial: Serial): Uint8Array {
  const bytes = db.get(entryRow(serial))
  if (bytes === undefined) throw new Error(`the log has no entry ${serial}`)
  return bytes
}

export function digestAt(db: Database, serial: Serial): Uint8Array {
  const bytes = entryAt(db, serial)
  return entryDigest(readEntry(bytes).parent, bytes)
}

/** Throws a `ChainError` where it is not the one that was noted. */
async function headIn(db: Database): Promise<ChainHead> {
  const newest = await db.first({ ...ENTRY_ROWS, reverse: true })
  const noted = db.get(HEAD_DIGEST_ROW)
  if (newest === undefined) {
    if (noted !== undefined) throw new ChainError(0, 'it and all others are missing, yet the database notes a newest one')
    return EMPTY_CHAIN
  }
  const head = headOf(newest[1])
  if (noted === undefined || Buffer.compare(noted, head.digest) !== 0) {
    throw new ChainError(head.serial, `its digest is ${digestHex(head.digest)}, not the one noted when it was written`)
  }
  return head
}

function headOf(bytes: Uint8Array): ChainHead {
  const { serial, parent, time, epoch } = decodeEntry(bytes)
  return { serial, digest: entryDigest(parent, bytes), time, epoch }
}
