import type { ObservedChange } from '#log-format/key-pattern.js'
import type { Serial } from '#log-format/serial.js'

/** One change of an entry, with the value before it (from the keyspace) and the one after it (from the entry). */
export interface FoldedChange extends ObservedChange {
  readonly serial: Serial
  /** ms since the epoch, of the entry. */
  readonly time: number
}

/** Takes the rows of one projection. A row may be put over an older one; deleting an absent one is fine. */
export interface RowSink {
  put(row: string, value: Uint8Array): void
  delete(row: string): void
}

/**
 * Rows that answer one read question, folded from the log and committed with
 * each entry. For implementers: `fold` is pure; it may look at the change and
 * nothing else, no clock, no other row, no order between the changes of one
 * entry. For callers: deleting the rows and folding from serial 0 gives the
 * same bytes.
 */
export interface Projection {
  readonly name: string
  /** Raise it when rows change their meaning: on open, the rows of another shape are folded afresh. */
  readonly shape: number
  fold(change: FoldedChange, rows: RowSink): void
}
