import type { ObservedChange } from '#log-format/key-pattern.js'
import type { MutationNames } from '#log-format/mutation.js'
import type { Serial } from '#log-format/serial.js'
import type { ReadValue } from './head-row.js'

/** One change of an entry, with the value before it (from the keyspace) and the one after it (from the entry). */
export interface FoldedChange extends ObservedChange {
  readonly serial: Serial
  /** ms since the epoch, of the entry. */
  readonly time: number
  /** What `read` makes of the msgpack of a value; undefined where there is none. For many changes, to build a value whole costs more than what is wanted of it. */
  read<T>(which: 'before' | 'after', read: ReadValue<T>): T | undefined
}

/** What an entry as a whole is about. */
export interface FoldedMutation {
  readonly serial: Serial
  readonly names: MutationNames
}

/** Takes the rows of one projection. A row may be put over an older one; deleting an absent one is fine. */
export interface RowSink {
  put(row: string, value: Uint8Array): void
  delete(row: string): void
}

/**
 * Rows that answer one read question, folded from the log and committed with
 * each entry. For implementers: both folds are pure; they may look at what they
 * are given and nothing else, no clock, no other row, no order between the
 * changes of one entry. For callers: deleting the rows and folding from serial 0 gives the
 * same bytes.
 */
export interface Projection {
  readonly name: string
  /** Raise it when rows change their meaning: on open, the rows of another shape are folded afresh. */
  readonly shape: number
  /** Called for each change. */
  fold?(change: FoldedChange, rows: RowSink): void
  /** Called for each entry, also for one that changed nothing but secrets. */
  foldMutation?(mutated: FoldedMutation, rows: RowSink): void
}
