import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Refusal } from '#log-format/api/refusal.js'
import type { ChainHead } from '#log-format/chain.js'
import { packValue, unpackValue } from '#log-format/codec.js'
import type { Origin } from '#log-format/entry.js'
import type { Frame } from '#log-format/framing.js'
import { NO_SERIAL, nextSerial, type Serial } from '#log-format/serial.js'
import { Changelog } from './changelog.js'
import { type CommitListener, CommitListeners } from './commit-listeners.js'
import { CommitSignal } from './commit-signal.js'
import { Database } from './database.js'
import { DiskRoom, freeBytesOf } from './disk-room.js'
import type { EntryStore } from './entry-store.js'
import { Importer } from './importer.js'
import { cutLogBack } from './cut-back.js'
import { findEpochStart, historyIn, type Reign } from './epoch-start.js'
import { Keyspace } from './keyspace.js'
import { dropUnfinishedSnapshot } from './load-snapshot.js'
import { Notes } from './notes.js'
import { type Fence, FENCE_FACT, fenceSentence, fenceText, parseFence, promotionFrame } from './promotion.js'
import { readSnapshot } from './read-snapshot.js'
import type { Reader } from './reader.js'
import { checkFormat, factIn, nodeIn, refreshShapes } from './open.js'
import { cursorRow, ENTRY_ROWS, factOperation, factRow, projectionRow } from './rows.js'
import type { EntrySource, StorageOptions } from './storage-options.js'
import type { Transaction } from './transaction.js'
import { openVault, type Vault } from './vault.js'
import { forgetSecretChanges, noteSecretChangesFrom, readSecretsSince, SECRETS_CURSOR, type SecretsSince, writeSecrets } from './vault-changes.js'
import { type Committed, type CommittedEntry, type WriteCounts, Writer, type WriterOptions } from './writer.js'

/** The log, the keyspace folded from it, its projections, and the one who writes: the writer, or on a replica the importer. */
export class Storage implements AsyncDisposable {
  /** Identifies this node for as long as its database lives: 32 hex digits. */
  readonly nodeId: string
  readonly entries: EntryStore
  readonly vault: Vault
  readonly notes: Notes
  readonly #db: Database
  readonly #keyspace: Keyspace
  #source: Writer | Importer
  readonly #newWriter: (counts: WriteCounts) => Writer
  #fence: Fence | undefined
  readonly #signal: CommitSignal
  readonly #listeners = new CommitListeners()
  readonly #room: DiskRoom
  readonly #logBytesAtOpen: number
  #closing = false
  #history = ''
  #reign: Reign | undefined

  private constructor(db: Database, entries: Changelog, logBytes: number, source: EntrySource, options: StorageOptions) {
    this.#db = db
    this.#logBytesAtOpen = logBytes
    this.#room = new DiskRoom(() => (options.freeBytes ?? freeBytesOf)(options.folder))
    this.nodeId = nodeIn(db)
    this.entries = entries
    this.vault = openVault(db)
    this.notes = new Notes(db)
    this.#keyspace = new Keyspace(db, entries.head.serial)
    this.#signal = new CommitSignal(entries.head.serial)
    this.#fence = parseFence(factIn(db, FENCE_FACT))
    const shared: Omit<WriterOptions, 'vault'> = {
      db,
      entries,
      projections: options.projections,
      onStart: (committed: readonly CommittedEntry[]) => this.#keyspace.writeStarts(committed),
      onCommit: (committed: readonly CommittedEntry[]) => this.#committed(committed),
      ensureRoom: () => this.#room.ensure(),
    }
    this.#newWriter = (counts) => new Writer({ ...shared, vault: this.vault, counts })
    this.#source = source === 'import' ? new Importer({ ...shared, ensureRoom: () => this.#room.ensureNow() }) : this.#newWriter({ batches: 0, entries: 0, bytes: 0 })
  }

  static async open(options: StorageOptions): Promise<Storage> {
    await mkdir(options.folder, { recursive: true })
    const db = await Database.open(join(options.folder, 'db'))
    try {
      await checkFormat(db)
      await dropUnfinishedSnapshot(db)
      const entries = await Changelog.open(db)
      const { source = 'transactions' } = options
      const decided = typeof source === 'string' ? source : source({ head: entries.head.serial, fact: (name) => factIn(db, name) })
      await noteSecretChangesFrom(db, entries.head.serial)
      await refreshShapes(db, entries, options)
      return new Storage(db, entries, await db.sizeOf(ENTRY_ROWS), decided, options)
    } catch (error) {
      await db.close()
      throw error
    }
  }

  /** Digest of the first entry in hex digits, which names the history; empty where there is none. */
  get history(): string {
    if (this.#history === '') this.#history = historyIn(this.#db)
    return this.#history
  }

  get head(): ChainHead {
    return this.entries.head
  }

  /** The epoch of the head, how it began, and of which history. */
  get reign(): Reign {
    const { epoch } = this.head
    if (this.#reign?.epoch !== epoch || this.#reign.history === '') this.#reign = { epoch, start: findEpochStart(this.#db, this.head), history: this.history }
    return this.#reign
  }

  /** Batches synced, entries in them and their bytes since the start. Entries by batches is what group commit gains. */
  get writeCounts(): { readonly batches: number; readonly entries: number; readonly bytes: number } {
    return this.#source.counts
  }

  /** Size of the log: what LevelDB estimated on open, and the bytes of the entries since. */
  get logBytes(): number {
    return this.#logBytesAtOpen + this.#source.counts.bytes
  }

  /** Whether entries come from another node, so that nothing can be changed here. */
  get isReplica(): boolean {
    return this.#source instanceof Importer
  }

  /** False from a write of the log that failed until the next one is tried: that of the next change, or of what a replica asks for again. */
  get isWritable(): boolean {
    return !this.#source.isBroken
  }

  /** Whether the log can be written. Where a write failed that made entries here, it looks whether it can go on by now. */
  async canWrite(): Promise<boolean> {
    if (this.#source instanceof Writer && this.#source.isBroken && !this.#closing) await this.#source.recover()
    return this.isWritable
  }

  /** False while changes are refused because the disk is nearly full. */
  hasRoom(): Promise<boolean> {
    return this.#room.isEnough()
  }

  /**
   * Gives `turn` a turn at the writer and resolves after the sync of its
   * batch. A turn reads, checks, buffers changes and returns; it never waits
   * for a network or a client. A refusal thrown in it leaves nothing behind.
   */
  transact<T>(origin: Origin, turn: (tx: Transaction) => Promise<T>): Promise<Committed<T>> {
    if (this.#closing) return Promise.reject(new Refusal('not-available', 'the server is shutting down'))
    if (this.#fence !== undefined) return Promise.reject(new Refusal('not-available', fenceSentence(this.#fence, this.head.epoch)))
    if (this.#source instanceof Importer) return Promise.reject(new Refusal('not-available', 'this server is a replica, and changes are made at its primary'))
    return this.#source.transact(origin, turn)
  }

  /**
   * Appends entries of another node, unchanged and in their order, and resolves to the head after them when they are
   * on the disk. Many at a time cost little more than one; the next may be handed over before the last are written.
   * Throws a `ChainError` for the first entry that is damaged or continues another history; those before it stay.
   */
  importEntries(frames: readonly Frame[]): Promise<ChainHead> {
    if (this.#closing) return Promise.reject(new Refusal('not-available', 'the server is shutting down'))
    if (!(this.#source instanceof Importer)) return Promise.reject(new Error('entries are imported where none are made'))
    return this.#source.import(frames)
  }

  /** Imports again after a write that failed, if there was one; see `Importer.beginAnew`. */
  async importAnew(): Promise<void> {
    if (this.#source instanceof Importer && !this.#closing) await this.#source.beginAnew()
  }

  /**
   * Begins an epoch in which entries are made here, and resolves to the head with its first entry. That entry and `facts`
   * are one synced batch: a crash leaves a node that imports, or one that makes entries. To be called when nothing
   * is imported any more. Refuses `conflict` where entries are made already.
   */
  async promote(origin: Origin, { former, facts }: { readonly former: string; readonly facts: Readonly<Record<string, string>> }): Promise<ChainHead> {
    const importer = this.#source
    if (!(importer instanceof Importer)) throw new Refusal('conflict', 'this server makes its entries itself; there is nothing to promote')
    await importer.idle()
    const frame = promotionFrame(this.head, origin, { node: this.nodeId, former })
    const rows = Object.entries(facts).map(([name, value]) => factOperation(name, value))
    // The vault may be behind the log: who follows looks at it anew.
    const head = await importer.import([frame], [...rows, forgetSecretChanges(nextSerial(this.head.serial))])
    this.#source = this.#newWriter(importer.counts)
    return head
  }

  /**
   * Takes the entries behind `common` away and notes `facts`; nothing but closing may follow, and the next open
   * folds all rows afresh. All of it is one synced batch: a crash leaves the whole log or the shorter one.
   */
  async cutBack(common: Serial, facts: Readonly<Record<string, string>>): Promise<void> {
    this.#end()
    await this.#source.idle()
    await cutLogBack(this.#db, this.entries, common, Object.entries(facts).map(([name, value]) => factOperation(name, value)))
  }

  /** Set where another node makes the entries of this history. */
  get fence(): Fence | undefined {
    return this.#fence
  }

  /** Refuses all changes from now on, also after a restart. What was sealed before is still written. */
  async setFence(fence: Fence): Promise<void> {
    this.#fence = fence
    await this.setFact(FENCE_FACT, fenceText(fence))
  }

  /** Everything as it stood at a serial; at head when none is given. */
  reader(serial: Serial = this.head.serial): Reader {
    return this.#keyspace.readerAt(serial)
  }

  /** The log and all rows of now, for a new replica; see `readSnapshot`. */
  snapshot(): AsyncGenerator<Uint8Array> {
    return readSnapshot(this.#db)
  }

  projectionRow(projection: string, row: string): Uint8Array | undefined {
    return this.#db.get(projectionRow(projection, row))
  }

  /** Rows of a projection whose names start with `prefix`, in order; with `from`, those from this name on; at most `limit`. */
  async *projectionRows(
    projection: string,
    prefix: string,
    { from = prefix, limit }: { readonly from?: string; readonly limit?: number } = {},
  ): AsyncGenerator<readonly [string, Uint8Array]> {
    const stem = projectionRow(projection, prefix)
    const skip = projectionRow(projection, '').length
    const range = { gte: projectionRow(projection, from), lt: `${stem}\u{10ffff}`, ...(limit !== undefined && { limit }) }
    for await (const rows of this.#db.batches(range)) {
      for (const [row, value] of rows) yield [row.slice(skip), value]
    }
  }

  /** Resolves once the head is at `serial` or beyond. */
  reached(serial: Serial, signal?: AbortSignal): Promise<void> {
    return this.#signal.reached(serial, signal)
  }

  /** Calls `listener` in the moment the head moves, before anybody is answered; it must be quick and not throw. */
  onCommit(listener: CommitListener): Disposable {
    return this.#listeners.add(listener)
  }

  /** The vault is that of this serial, or of a later one: of the head, but on a replica. */
  get secretsSerial(): Serial {
    return this.#source instanceof Importer ? this.cursor(SECRETS_CURSOR) : this.head.serial
  }

  /** Secrets that entries behind `since` changed, for a replica that has those up to it. */
  secretsSince(since: Serial): SecretsSince {
    return readSecretsSince(this.#db, this.secretsSerial, since)
  }

  /** Takes over secrets of the node whose entries are imported; resolves when they are on the disk. */
  async importSecrets(secrets: SecretsSince): Promise<void> {
    if (!(this.#source instanceof Importer)) throw new Error('secrets are imported where none are made')
    await writeSecrets(this.#db, secrets)
  }

  cursor(name: string): Serial {
    const found = this.#db.get(cursorRow(name))
    return found === undefined ? NO_SERIAL : (unpackValue(found) as Serial)
  }

  async moveCursor(name: string, serial: Serial): Promise<void> {
    await this.#db.write([{ type: 'put', key: cursorRow(name), value: packValue(serial) }], { sync: false })
  }

  /** What this node is, as it was noted by `setFact`. */
  fact(name: string): string | undefined {
    return factIn(this.#db, name)
  }

  /** Notes something about this node that no log says; on the disk when it resolves. */
  async setFact(name: string, value: string): Promise<void> {
    await this.#db.write([{ type: 'put', key: factRow(name), value: packValue(value) }], { sync: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end()
    await this.#source.idle()
    await this.#db.flush() // the next start then has no write-ahead file to read again
    await this.#db.close()
  }

  /** Nothing is written any more but what was handed over before. */
  #end(): void {
    this.#closing = true
    this.notes.end()
  }

  #committed(entries: readonly CommittedEntry[]): void {
    this.#listeners.tell(entries)
    this.#signal.moveTo(this.head.serial)
  }
}
