import { Refusal } from '#log-format/api/refusal.js'
import { type ChainHead, type ChainLink, digestHex, entryDigest, extendChain } from '#log-format/chain.js'
import { type CheckedEntry, checkEntry } from '#log-format/checked-entry.js'
import { ChainError } from '#log-format/errors.js'
import type { Frame } from '#log-format/framing.js'
import { namesInMutation } from '#log-format/mutation.js'
import { NO_SERIAL, nextSerial, type Serial } from '#log-format/serial.js'
import type { Database, RowOperation } from './database.js'
import type { EntryStore, StoredEntry } from './entry-store.js'
import { locateChanges, type LocatedEntry } from './fold.js'
import type { Projection } from './projection.js'
import { BatchFold } from './rebuild.js'
import { entryRow, factOperation, PRIMARY_UUID_FACT } from './rows.js'
import type { CommittedEntry } from './writer.js'

export interface ImporterOptions {
  readonly db: Database
  readonly entries: EntryStore
  readonly projections: readonly Projection[]
  /** Called before a batch is written. */
  readonly onStart: (entries: readonly CommittedEntry[]) => void
  /** Called in the moment the head moves. */
  readonly onCommit: (entries: readonly CommittedEntry[]) => void
  /** Rejects with a refusal when the disk has no room for another batch. */
  readonly ensureRoom: () => Promise<void>
}

/** What of a batch continues the log, and what is wrong with the entry behind it. */
interface Checked {
  readonly stored: readonly StoredEntry[]
  /** The same entries. */
  readonly located: readonly LocatedEntry[]
  readonly head: ChainHead
  readonly fault: ChainError | undefined
  /** Facts that change with them. */
  readonly facts: readonly RowOperation[]
}

/** Entries together with what follows from them. */
interface Batch {
  readonly stored: readonly StoredEntry[]
  readonly head: ChainHead
  readonly rows: readonly RowOperation[]
  readonly committed: readonly CommittedEntry[]
}

/**
 * Takes over entries of another node in place of the writer: their bytes
 * unchanged, checked against the chain, folded as a writer folds its own. One
 * batch is folded while the one before it is being written.
 */
export class Importer {
  readonly #options: ImporterOptions
  #fold: BatchFold
  /** Entries that were folded and may not be in the database yet. */
  readonly #unwritten = new Map<Serial, Uint8Array>()
  /** The head after everything folded. */
  #folded: ChainHead
  #turn: Promise<void> = Promise.resolve()
  #writing: Promise<void> = Promise.resolve()
  #failure: Error | undefined
  /** The batch that failed, which may be stored all the same. */
  #unsure: Batch | undefined
  /** Batches written, entries in them and their bytes, since the start. */
  readonly counts = { batches: 0, entries: 0, bytes: 0 }

  constructor(options: ImporterOptions) {
    this.#options = options
    this.#folded = options.entries.head
    this.#fold = this.#newFold()
  }

  /** Whether a write failed, after which there are no more until it is begun anew. */
  get isBroken(): boolean {
    return this.#failure !== undefined
  }

  /** See `Storage.importEntries`. `facts` are written with them. */
  async import(frames: readonly Frame[], facts: readonly RowOperation[] = []): Promise<ChainHead> {
    const turn = this.#turn.then(() => this.#take(frames, facts))
    this.#turn = turn.then(() => undefined, () => undefined)
    const { written, head, fault } = await turn
    await written
    if (this.#failure !== undefined) throw notWritten(this.#failure)
    if (fault !== undefined) throw fault
    return head
  }

  /**
   * Goes on behind the newest entry that is stored, if a write failed; refuses `storage-full` while there is no room for that. To be called when nothing is on its way, by who
   * then asks for the entry behind that one: what was handed over since the failure is forgotten.
   */
  async beginAnew(): Promise<void> {
    await this.idle()
    if (this.#failure === undefined) return
    const { db, entries, onCommit } = this.#options
    await db.mended()
    const isStored = await entries.refresh()
    if (isStored && this.#unsure !== undefined) {
      this.#count(this.#unsure)
      onCommit(this.#unsure.committed)
    }
    this.#unwritten.clear()
    this.#folded = entries.head
    this.#fold = this.#newFold()
    this.#unsure = undefined
    this.#failure = undefined
  }

  /** Resolves when everything asked for so far is settled. */
  async idle(): Promise<void> {
    await this.#turn
    await this.#writing
  }

  /** Resolves when the entries are on their way to the disk. */
  async #take(frames: readonly Frame[], facts: readonly RowOperation[]): Promise<Checked & { readonly written: Promise<void> }> {
    if (this.#failure !== undefined) throw notWritten(this.#failure)
    await this.#options.ensureRoom()
    const checked = checkChain(this.#folded, frames)
    const { stored, located, head } = checked
    if (stored.length > 0) {
      for (const { serial, bytes } of stored) this.#unwritten.set(serial, bytes)
      const rows = [...(await this.#fold.batch(located)), ...checked.facts, ...facts]
      this.#folded = head
      await this.#writing // the fold looks at the rows of one unwritten batch, not of two
      const committed = located.map(({ serial, changes }) => ({ serial, touched: changes }))
      this.#writing = this.#write({ stored, head, rows, committed })
    }
    return { ...checked, written: this.#writing }
  }

  #newFold(): BatchFold {
    const { db, entries, projections } = this.#options
    return new BatchFold(db, projections, {
      entryAt: (serial) => this.#unwritten.get(serial) ?? db.get(entryRow(serial)),
      isEmpty: entries.head.serial === NO_SERIAL,
    })
  }

  async #write(batch: Batch): Promise<void> {
    const { stored, head, rows, committed } = batch
    if (this.#failure !== undefined) return
    const { entries, onStart, onCommit } = this.#options
    try {
      onStart(committed)
      await entries.append({ expected: entries.head.serial, entries: stored, head, rows })
    } catch (error) {
      // What follows was made for what is not there: all of it is asked for again.
      this.#failure = error instanceof Error ? error : new Error('the batch could not be written', { cause: error })
      this.#unsure = batch
      return
    }
    this.#count(batch)
    for (const { serial } of stored) this.#unwritten.delete(serial)
    onCommit(committed)
  }

  #count({ stored }: Batch): void {
    this.counts.batches += 1
    this.counts.entries += stored.length
    for (const { bytes } of stored) this.counts.bytes += bytes.length
  }
}

function notWritten(cause: Error): Refusal {
  const inner: unknown = cause.cause // made in native code: `instanceof` need not know it
  const reason = typeof inner === 'object' && inner !== null && 'message' in inner ? String(inner.message) : cause.message
  return new Refusal('not-available', `entries of the primary could not be written here: ${reason}`, { cause })
}

function checkChain(head: ChainHead, frames: readonly Frame[]): Checked {
  const stored: StoredEntry[] = []
  const located: LocatedEntry[] = []
  const facts: RowOperation[] = []
  try {
    for (const frame of frames) {
      const entry = checkedEntry(head, frame)
      const { epoch } = head
      head = extendedBy(head, entry.link, frame)
      stored.push({ serial: head.serial, bytes: frame.bytes })
      located.push(locateChanges(entry.slices, namesInMutation(entry.mutation)))
      if (head.epoch > epoch) facts.push(...factsOfEpoch(entry))
    }
  } catch (error) {
    if (error instanceof ChainError) return { stored, located, head, fault: error, facts }
    throw error
  }
  return { stored, located, head, fault: undefined, facts }
}

/** An epoch begins with the entry that says who makes the entries from then on, unless a newer release knows another way. */
function factsOfEpoch({ mutation }: CheckedEntry): readonly RowOperation[] {
  const { kind, node }: { readonly kind: string; readonly node?: unknown } = mutation
  return kind === 'primary-promoted' && typeof node === 'string' ? [factOperation(PRIMARY_UUID_FACT, node)] : []
}

function extendedBy(head: ChainHead, link: ChainLink, { bytes, digest }: Frame): ChainHead {
  const extended = extendChain(head, link, bytes)
  if (Buffer.compare(extended.digest, digest) !== 0) throw new ChainError(extended.serial, damage(extended.digest, digest))
  return extended
}

function checkedEntry(head: ChainHead, { bytes, digest }: Frame): CheckedEntry {
  try {
    return checkEntry(bytes)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ChainError(nextSerial(head.serial), `${damage(entryDigest(head.digest, bytes), digest)} (${reason})`)
  }
}

function damage(found: Uint8Array, announced: Uint8Array): string {
  return `its digest here is ${digestHex(found)}, the one sent with it ${digestHex(announced)}`
}
