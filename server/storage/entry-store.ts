import type { ChainHead } from '#log-format/chain.js'
import type { Serial } from '#log-format/serial.js'
import type { RowOperation } from './database.js'

/** An entry as it lies in the log. */
export interface StoredEntry {
  readonly serial: Serial
  /** Canonical bytes, see `log-format/codec.ts`. */
  readonly bytes: Uint8Array
}

export interface Append {
  /** The head that the entries continue. */
  readonly expected: Serial
  readonly entries: readonly StoredEntry[]
  /** The head after them. */
  readonly head: ChainHead
  /** Rows that follow from the entries, to be stored with them or not at all. */
  readonly rows: readonly RowOperation[]
}

/**
 * The log as storage. For callers: serials are dense, bytes come back as they
 * were given. For implementers: `append` is all or nothing and durable when
 * it resolves; it rejects when the head is not the expected one.
 */
export interface EntryStore {
  readonly head: ChainHead
  append(append: Append): Promise<void>
  /** Looks what the head is, after an append that failed: its entries may be stored all the same. Resolves to whether they are. */
  refresh(): Promise<boolean>
  /** Entries from `from` up to, not including, `to`, at most those up to the head of now; a few hundred at a time. */
  read(from: Serial, to?: Serial): AsyncIterable<readonly StoredEntry[]>
}
