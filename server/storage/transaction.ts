import { isDeepStrictEqual } from 'node:util'
import { Refusal } from '#log-format/api/refusal.js'
import { MAX_ENTRY_BYTES, packValue } from '#log-format/codec.js'
import type { Key, KeyRange } from '#log-format/key-pattern.js'
import type { Mutation } from '#log-format/mutation.js'
import type { PackedChange } from '#log-format/packed-entry.js'
import { nextSerial, type Serial } from '#log-format/serial.js'
import type { JsonValue, Stored } from '#log-format/values.js'
import type { Database } from './database.js'
import type { TouchedKey } from './fold.js'
import { type EntryAt, type ReadValue, storedIn, valueBytesOf } from './head-row.js'
import { compareNames } from './name-order.js'
import { scanned, scannedAs } from './past-scan.js'
import type { Reader, ScannedKey } from './reader.js'
import {
  endOfOldRows,
  entryRow,
  keyName,
  keyRow,
  nameOfKeyRow,
  nameRange,
  oldRow,
  stampBytes,
  withoutStamp,
} from './rows.js'
import type { Vault, VaultChanges } from './vault.js'

/** What a turn sees and does: reads at one serial plus its own changes. Dead after its turn. */
export interface Transaction extends Reader {
  /** ms since the epoch: the time that the entry will carry. */
  readonly time: number
  readonly secrets: VaultChanges
  set<V>(key: Key<V>, value: V): void
  /** Looks at many keys that are about to be set, in one go and beside the main thread. */
  prefetch(keys: readonly Key<unknown>[]): Promise<void>
  delete(key: Key<unknown>): void
  /** Says what was asked for. A transaction has one mutation; without any change it leaves no entry. */
  record(mutation: Mutation): void
}

/** State that is sealed and not yet in the database: newest head rows and secrets by name. */
export interface PendingState {
  row(name: string): { readonly bytes: Uint8Array | undefined } | undefined
  rows(): Iterable<readonly [string, Uint8Array | undefined]>
  secret(name: string): { readonly secret: JsonValue | undefined } | undefined
  readonly entryAt: EntryAt
}

/** A key that was set, or deleted where there are no bytes. */
export interface RecordedChange extends PackedChange, TouchedKey {}

export interface Recorded {
  readonly mutation: Mutation
  readonly changes: readonly RecordedChange[]
  readonly secrets: ReadonlyMap<string, JsonValue | undefined>
  /** The head row that a changed key had, by its name; undefined where there was none. */
  readonly rowBefore: (name: string) => Uint8Array | undefined
}

interface BufferedChange extends RecordedChange {
  /** The head row before. */
  readonly before: Uint8Array | undefined
}

export class OpenTransaction implements Transaction {
  readonly serial: Serial
  readonly time: number
  readonly #db: Database
  readonly #vault: Vault
  readonly #pending: PendingState
  readonly #changes = new Map<string, BufferedChange>()
  readonly #secrets = new Map<string, JsonValue | undefined>()
  /** Head rows that the turn has read; nobody else changes one before it is over. */
  readonly #below = new Map<string, Uint8Array | undefined>()
  /** What the names of the range began with that was scanned last and had no key. */
  #empty: string | undefined
  /** What the changes will need of an entry, at the least. */
  #bytes = 0
  #mutation: Mutation | undefined
  #open = true

  constructor(input: { db: Database; vault: Vault; pending: PendingState; serial: Serial; time: number }) {
    this.#db = input.db
    this.#vault = input.vault
    this.#pending = input.pending
    this.serial = input.serial
    this.time = input.time
  }

  readonly secrets: VaultChanges = {
    get: (name) => {
      this.#assertOpen()
      return this.#secrets.has(name) ? this.#secrets.get(name) : this.#secretBelow(name)
    },
    set: (name, secret) => this.#bufferSecret(name, secret),
    delete: (name) => this.#bufferSecret(name, undefined),
  }

  async get<V>(key: Key<V>): Promise<V | undefined> {
    return (await this.find(key))?.value
  }

  find<V>(key: Key<V>): Promise<Stored<V> | undefined> {
    this.#assertOpen()
    const row = this.#row(keyName(key.family, key.segments))
    return Promise.resolve(row === undefined ? undefined : storedIn<V>(row, this.#entryAt))
  }

  async existed(key: Key<unknown>): Promise<boolean> {
    this.#assertOpen()
    const name = keyName(key.family, key.segments)
    if (this.#changes.has(name) || this.#pending.row(name) !== undefined || this.#rowBelow(name) !== undefined) return true
    return (await this.#db.first({ gte: oldRow(name, this.serial), lt: endOfOldRows(name) })) !== undefined
  }

  async *scan<V>(range: KeyRange<V>): AsyncGenerator<ScannedKey<V>> {
    for await (const [name, row] of this.#rows(range)) yield scanned<V>(name, row, this.#entryAt)
  }

  async *#rows(range: KeyRange<unknown>): AsyncGenerator<readonly [name: string, row: Uint8Array]> {
    this.#assertOpen()
    const { from, to } = nameRange(range.family, range.segments)
    // Taken before the cursor opens: what a commit moves into the database meanwhile is in both.
    const overlay = this.#overlay(from)
    const cursor = this.#db.cursor({ gte: keyRow(from), lt: keyRow(to) })
    try {
      let next = 0
      let isEmpty = true
      for (;;) {
        const row = cursor.held() ?? (await cursor.peek())
        this.#assertOpen()
        const over = overlay[next]
        if (row === undefined && over === undefined) {
          if (isEmpty) this.#empty = from
          return
        }
        isEmpty = false
        const name = row === undefined ? undefined : nameOfKeyRow(row[0])
        if (over !== undefined && (name === undefined || compareNames(over[0], name) <= 0)) {
          next += 1
          if (over[0] === name) cursor.advance()
          if (over[1] !== undefined) yield [over[0], over[1]]
        } else if (row !== undefined && name !== undefined) {
          cursor.advance()
          yield [name, row[1]]
        }
      }
    } finally {
      await cursor.close()
    }
  }

  async *formerValues<V>(key: Key<V>): AsyncGenerator<V> {
    this.#assertOpen()
    const name = keyName(key.family, key.segments)
    const stored = this.#db.get(keyRow(name))
    if (stored !== undefined && this.#isReplaced(name)) yield storedIn<V>(stored, this.#entryAt).value
    for await (const rows of this.#db.batches({ gte: oldRow(name, this.serial), lt: endOfOldRows(name) })) {
      for (const [, row] of rows) yield storedIn<V>(withoutStamp(row), this.#entryAt).value
    }
  }

  async *scanBatches<T>(range: KeyRange<unknown>, read: ReadValue<T>): AsyncGenerator<readonly ScannedKey<T>[]> {
    for await (const key of this.#rows(range)) yield [scannedAs(...key, this.#entryAt, read)]
  }

  set<V>(key: Key<V>, value: V): void {
    this.#assertOpen()
    this.#buffer(key, packValue(value))
  }

  async prefetch(keys: readonly Key<unknown>[]): Promise<void> {
    this.#assertOpen()
    const names = keys.map(({ family, segments }) => keyName(family, segments)).filter((name) => this.#pending.row(name) === undefined)
    const rows = await this.#db.getMany(names.map(keyRow))
    for (const [at, name] of names.entries()) this.#below.set(name, rows[at])
  }

  delete(key: Key<unknown>): void {
    this.#assertOpen()
    this.#buffer(key, undefined)
  }

  record(mutation: Mutation): void {
    this.#assertOpen()
    if (this.#mutation !== undefined) throw new Error('a transaction records one mutation')
    this.#mutation = mutation
  }

  /** Whatever is still held of the transaction does nothing any more. */
  end(): void {
    this.#open = false
  }

  /** Ends the turn: what is to be sealed, or undefined when nothing changed. */
  finish(): Recorded | undefined {
    this.end()
    const changes = [...this.#changes.values()]
    if (changes.length === 0 && this.#secrets.size === 0) return undefined
    if (this.#mutation === undefined) throw new Error('a transaction changed keys and recorded no mutation')
    return { mutation: this.#mutation, changes, secrets: this.#secrets, rowBefore: (name) => this.#changes.get(name)?.before }
  }

  /** A value equal to the one below it is no change. */
  #buffer({ path, family, segments }: Key<unknown>, valueBytes: Uint8Array | undefined): void {
    const name = keyName(family, segments)
    const before = this.#rowBelow(name)
    const change: BufferedChange = { path, family, segments, name, valueBytes, before }
    const same = before === undefined || valueBytes === undefined ? before === valueBytes : Buffer.compare(valueBytesOf(before, this.#entryAt), valueBytes) === 0
    this.#bytes -= sizeOf(this.#changes.get(name))
    this.#changes.delete(name) // a key set again moves to the end: the order of changes is that of the last sets
    if (same) return
    this.#changes.set(name, change)
    this.#bytes += sizeOf(change)
    // Its entry would be larger still: refused before all of it is in memory.
    if (this.#bytes > MAX_ENTRY_BYTES) throw changeTooLarge(this.#bytes)
  }

  #bufferSecret(name: string, secret: JsonValue | undefined): void {
    this.#assertOpen()
    if (isDeepStrictEqual(this.#secretBelow(name), secret)) this.#secrets.delete(name)
    else this.#secrets.set(name, secret)
  }

  #secretBelow(name: string): JsonValue | undefined {
    const pending = this.#pending.secret(name)
    return pending === undefined ? this.#vault.get(name) : pending.secret
  }

  #row(name: string): Uint8Array | undefined {
    const own = this.#changes.get(name)
    if (own === undefined) return this.#rowBelow(name)
    return own.valueBytes === undefined ? undefined : stampBytes(nextSerial(this.serial), own.valueBytes)
  }

  /** Whether what the database has of the key is not what stands there any more. */
  #isReplaced(name: string): boolean {
    return this.#changes.has(name) || this.#pending.row(name) !== undefined
  }

  #rowBelow(name: string): Uint8Array | undefined {
    const known = this.#below.get(name)
    if (known !== undefined || this.#below.has(name)) return known
    if (this.#empty !== undefined && name.startsWith(this.#empty)) return undefined
    const pending = this.#pending.row(name)
    const row = pending === undefined ? this.#db.get(keyRow(name)) : pending.bytes
    this.#below.set(name, row)
    return row
  }

  readonly #entryAt: EntryAt = (serial) => this.#pending.entryAt(serial) ?? this.#db.get(entryRow(serial))

  /** Rows that lie over those of the database, of names that start with `stem`, in order; undefined bytes hide a row. */
  #overlay(stem: string): (readonly [string, Uint8Array | undefined])[] {
    const rows = new Map<string, Uint8Array | undefined>()
    for (const [name, bytes] of this.#pending.rows()) {
      if (name.startsWith(stem)) rows.set(name, bytes)
    }
    for (const name of this.#changes.keys()) {
      if (name.startsWith(stem)) rows.set(name, this.#row(name))
    }
    return [...rows].sort(([a], [b]) => compareNames(a, b))
  }

  #assertOpen(): void {
    if (!this.#open) throw new Error('the transaction is over')
  }
}

/** The refusal of a transaction whose entry would be larger than one may be. */
export function changeTooLarge(bytes: number): Refusal {
  return new Refusal('too-large', `this change touches too much for one transaction (${bytes} bytes); do it in parts`)
}

function sizeOf(change: BufferedChange | undefined): number {
  return change === undefined ? 0 : change.path.length + (change.valueBytes?.length ?? 0)
}
