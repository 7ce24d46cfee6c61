import { Refusal } from '#log-format/api/refusal.js'
import type { ChainHead } from '#log-format/chain.js'
import type { Origin } from '#log-format/entry.js'
import type { Serial } from '#log-format/serial.js'
import type { Database, RowOperation } from './database.js'
import type { EntryStore, StoredEntry } from './entry-store.js'
import { Fold, type FoldedRows, type TouchedKey } from './fold.js'
import type { EntryAt } from './head-row.js'
import { PendingRows } from './pending-rows.js'
import type { Projection } from './projection.js'
import { entryRow } from './rows.js'
import { sealEntry } from './seal.js'
import { OpenTransaction, type Recorded, type Transaction } from './transaction.js'
import { secretOperation, type Vault } from './vault.js'
import { secretsChanged } from './vault-changes.js'

/** What came of a transaction: its result, and the serial at which it can be read. */
export interface Committed<T> {
  readonly result: T
  /** The new serial, or the one that was read when nothing changed. */
  readonly serial: Serial
  readonly changed: boolean
}

/** One entry that just became part of the log. */
export interface CommittedEntry {
  readonly serial: Serial
  readonly touched: readonly TouchedKey[]
}

export interface WriterOptions {
  readonly db: Database
  readonly entries: EntryStore
  readonly vault: Vault
  readonly projections: readonly Projection[]
  /** Called before a batch is written. */
  readonly onStart: (entries: readonly CommittedEntry[]) => void
  /** Called in the moment the head moves, before anybody is answered. */
  readonly onCommit: (entries: readonly CommittedEntry[]) => void
  /** Rejects with a refusal when the disk has no room for another batch. */
  readonly ensureRoom: () => Promise<void>
  /** What was written before, by whoever wrote; nothing unless given. */
  readonly counts?: WriteCounts
}

/** Batches written, entries in them and their bytes, since the start. */
export interface WriteCounts {
  batches: number
  entries: number
  bytes: number
}

interface Turn {
  run(): Promise<void>
}

/** Sealed transactions that will be one synced batch. */
interface Batch {
  readonly entries: StoredEntry[]
  readonly operations: RowOperation[]
  readonly committed: CommittedEntry[]
  /** Settles what waits for this batch: with undefined when it is durable, else with what went wrong. */
  readonly waiting: ((error: Error | undefined) => void)[]
  head: ChainHead
  bytes: number
}

const MOST_ENTRIES = 512
const MOST_BYTES = 8 * 1024 * 1024

/**
 * The one writer. Transactions take turns; each is sealed on top of those
 * before it, and while one batch is being synced the next one fills. So
 * transactions that wait together share a sync, and nobody is answered,
 * not even with a refusal, out of a state that is not yet on the disk.
 *
 * A write that fails takes with it all that was sealed on top of it. The
 * next transaction goes on from what the database has.
 */
export class Writer {
  readonly #options: WriterOptions
  readonly #turns: Turn[] = []
  readonly #pending: PendingRows
  readonly #fold: Fold
  readonly #entryAt: EntryAt
  /** The head after everything sealed. */
  #sealed: ChainHead
  #open: Batch | undefined
  #writing: Promise<void> | undefined
  #turning: Promise<void> | undefined
  #failure: Error | undefined
  /** The batch that failed, which may be stored all the same. */
  #unsure: Batch | undefined
  readonly counts: WriteCounts

  constructor(options: WriterOptions) {
    this.#options = options
    this.#sealed = options.entries.head
    this.counts = options.counts ?? { batches: 0, entries: 0, bytes: 0 }
    this.#pending = new PendingRows()
    this.#fold = new Fold(options.projections)
    this.#entryAt = (serial) => this.#pending.entryAt(serial) ?? options.db.get(entryRow(serial))
  }

  transact<T>(origin: Origin, turn: (tx: Transaction) => Promise<T>): Promise<Committed<T>> {
    return new Promise((resolve, reject) => {
      this.#turns.push({ run: () => this.#run(origin, turn, resolve, reject) })
      this.#turning ??= this.#takeTurns()
    })
  }

  /** Whether a write failed, and none was tried since. */
  get isBroken(): boolean {
    return this.#failure !== undefined
  }

  /** Goes on after a write that failed, if there was one and that can be done by now; no transaction has to come for it. */
  recover(): Promise<void> {
    return new Promise((resolve) => {
      this.#turns.push({ run: () => this.#ready().then(resolve, () => { resolve() }) })
      this.#turning ??= this.#takeTurns()
    })
  }

  /** Resolves when everything asked for so far is settled. */
  async idle(): Promise<void> {
    while (this.#turning !== undefined || this.#writing !== undefined) {
      await this.#turning
      await this.#writing
    }
  }

  async #takeTurns(): Promise<void> {
    for (let next = this.#turns.shift(); next !== undefined; next = this.#turns.shift()) {
      await next.run()
      if (this.#open !== undefined && isFull(this.#open)) await this.#writing
      this.#write()
    }
    this.#turning = undefined
  }

  async #run<T>(
    origin: Origin,
    turn: (tx: Transaction) => Promise<T>,
    resolve: (committed: Committed<T>) => void,
    reject: (error: unknown) => void,
  ): Promise<void> {
    try {
      await this.#ready()
    } catch (error) {
      reject(error)
      return
    }
    const { db, vault } = this.#options
    const time = Math.max(origin.time, this.#sealed.time)
    const tx = new OpenTransaction({ db, vault, pending: this.#pending, serial: this.#sealed.serial, time })
    let settle: () => void
    try {
      const result = await turn(tx)
      const recorded = tx.finish()
      if (recorded !== undefined) this.#seal({ ...origin, time }, recorded)
      const committed = { result, serial: this.#sealed.serial, changed: recorded !== undefined }
      settle = () => resolve(committed)
    } catch (error) {
      settle = () => reject(error)
    } finally {
      tx.end()
    }
    this.#whenDurable(settle, reject)
  }

  async #ready(): Promise<void> {
    await this.#options.ensureRoom()
    if (this.#failure !== undefined) await this.#goOn()
  }

  /** Takes what the database has of what could not be written, all of it or nothing, and forgets the rest. */
  async #goOn(): Promise<void> {
    const { db, entries, onCommit } = this.#options
    this.#write()
    while (this.#writing !== undefined) await this.#writing // refuses those who wait for what was sealed since
    await db.mended()
    const isStored = await entries.refresh()
    if (isStored && this.#unsure !== undefined) {
      this.#count(this.#unsure)
      onCommit(this.#unsure.committed)
    }
    this.#pending.clear()
    this.#sealed = entries.head
    this.#unsure = undefined
    this.#failure = undefined
  }

  /** Answers once all that is sealed so far, on which the answer may rest, is on the disk. */
  #whenDurable(settle: () => void, reject: (error: unknown) => void): void {
    if (this.#failure !== undefined) {
      reject(notWritten(this.#failure))
    } else if (this.#open !== undefined) {
      this.#open.waiting.push((error) => (error === undefined ? settle() : reject(error)))
    } else if (this.#writing !== undefined) {
      void this.#writing.then(() => (this.#failure === undefined ? settle() : reject(notWritten(this.#failure))))
    } else {
      settle()
    }
  }

  #seal(origin: Origin, recorded: Recorded): void {
    const parent = this.#sealed
    const { bytes, located, head } = sealEntry(parent, origin, recorded)
    const { serial } = located
    const { secrets, rowBefore } = recorded
    const folded: FoldedRows = { operations: [], rows: new Map() }
    this.#fold.entry(located, { row: rowBefore, entryAt: this.#entryAt }, folded)
    const batch = (this.#open ??= {
      entries: [],
      operations: [],
      committed: [],
      waiting: [],
      head: parent,
      bytes: 0,
    })
    this.#pending.setEntry(serial, bytes)
    for (const [name, row] of folded.rows) this.#pending.setRow(name, row, serial)
    for (const [name, secret] of secrets) {
      batch.operations.push(secretOperation(name, secret))
      this.#pending.setSecret(name, secret, serial)
    }
    if (secrets.size > 0) batch.operations.push(secretsChanged(serial, secrets.keys()))
    for (const operation of folded.operations) batch.operations.push(operation)
    batch.entries.push({ serial, bytes })
    batch.committed.push({ serial, touched: located.changes })
    batch.bytes += bytes.length
    batch.head = head
    this.#sealed = batch.head
  }

  /** Writes the open batch unless another is being written; goes on with the one that filled meanwhile. */
  #write(): void {
    if (this.#writing !== undefined || this.#open === undefined) return
    const batch = this.#open
    this.#open = undefined
    this.#writing = this.#commit(batch).then(() => {
      this.#writing = undefined
      this.#write()
    })
  }

  async #commit(batch: Batch): Promise<void> {
    const { entries, onStart, onCommit } = this.#options
    let failure = this.#failure
    if (failure === undefined) {
      try {
        onStart(batch.committed)
        await entries.append({ expected: entries.head.serial, entries: batch.entries, head: batch.head, rows: batch.operations })
        this.#count(batch)
        this.#pending.forgetUpTo(batch.head.serial)
        onCommit(batch.committed)
      } catch (error) {
        // What the disk holds now is unknown: what was sealed on top of it must not be written.
        failure = error instanceof Error ? error : new Error('the batch could not be written', { cause: error })
        this.#failure = failure
        this.#unsure = batch
      }
    }
    const outcome = failure === undefined ? undefined : notWritten(failure)
    for (const settle of batch.waiting) settle(outcome)
  }

  #count({ entries, bytes }: Batch): void {
    this.counts.batches += 1
    this.counts.entries += entries.length
    this.counts.bytes += bytes
  }
}

function isFull(batch: Batch): boolean {
  return batch.entries.length >= MOST_ENTRIES || batch.bytes >= MOST_BYTES
}

function notWritten(cause: Error): Refusal {
  return new Refusal(
    'not-available',
    'the server could not write its log: look whether the change was made before you try again; if this goes on while its disk has room, it has to be restarted',
    { cause },
  )
}
