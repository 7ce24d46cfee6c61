import { unpackValue } from '#log-format/codec.js'
import { type EntrySlices, namesInSlice } from '#log-format/entry-slices.js'
import { locatePath } from '#log-format/keys.js'
import type { MutationNames } from '#log-format/mutation.js'
import type { Serial } from '#log-format/serial.js'
import type { JsonValue } from '#log-format/values.js'
import type { RowOperation } from './database.js'
import type { FoldedChange, FoldedMutation, Projection, RowSink } from './projection.js'
import { type EntryAt, headRow, type ReadValue, readValue, valueOf } from './head-row.js'
import { keyName, keyRow, oldRow, projectionRow, stampBytes, stampOf } from './rows.js'

/** The state before an entry. */
export interface HeadRows {
  /** The head row of a key; undefined when it is absent. */
  row(name: string): Uint8Array | undefined
  /** Bytes of an entry before this one. */
  readonly entryAt: EntryAt
}

/** Which key an entry touched. */
export interface TouchedKey {
  readonly family: string
  readonly segments: readonly string[]
  /** As `keyName` has it. */
  readonly name: string
}

/** One change of an entry together with the key it is of. */
interface LocatedChange extends TouchedKey {
  readonly valueBytes: Uint8Array | undefined
  readonly offset: number | undefined
}

/** An entry whose paths were looked up. */
export interface LocatedEntry {
  readonly serial: Serial
  readonly time: number
  readonly length: number
  readonly names: MutationNames
  readonly changes: readonly LocatedChange[]
}

/** Takes what follows from entries, one after the other. */
export interface FoldedRows {
  readonly operations: RowOperation[]
  /** Head rows after the entries, by key name; undefined where a key was deleted. */
  readonly rows: Map<string, Uint8Array | undefined>
}

/** Finds the key of each path, once for all who fold the entry. `names`: those in the mutation, where it was read already. */
export function locateChanges({ serial, time, length, mutationBytes, changes }: EntrySlices, names = namesInSlice(mutationBytes)): LocatedEntry {
  return {
    serial,
    time,
    length,
    names,
    changes: changes.map(({ path, valueBytes, offset }) => {
      const { family, segments } = locatePath(path)
      return { family, segments, name: keyName(family, segments), valueBytes, offset }
    }),
  }
}

/**
 * Turns entries into the rows that follow from them: head values, the values
 * they replace, and the rows of every projection. Values are taken over as
 * the bytes they are in the entry. Pure but for `head`, which must show the
 * state before the entry; primary, rebuild and verify all use it.
 */
export class Fold {
  readonly #changeFolds: readonly ((change: FoldedChange) => void)[]
  readonly #mutationFolds: readonly ((mutated: FoldedMutation) => void)[]
  #operations: RowOperation[] = []

  constructor(projections: readonly Projection[]) {
    const sinks = projections.map((projection) => ({ projection, sink: this.#sinkOf(projection.name) }))
    this.#changeFolds = sinks.flatMap(({ projection, sink }) => (projection.fold ? [(change) => projection.fold?.(change, sink)] : []))
    this.#mutationFolds = sinks.flatMap(({ projection, sink }) =>
      projection.foldMutation ? [(mutated) => projection.foldMutation?.(mutated, sink)] : [],
    )
  }

  /** Adds the rows of one entry. */
  entry(entry: LocatedEntry, head: HeadRows, { operations, rows }: FoldedRows): void {
    this.#operations = operations
    if (this.#mutationFolds.length > 0) {
      const mutated = { serial: entry.serial, names: entry.names }
      for (const fold of this.#mutationFolds) fold(mutated)
    }
    const { serial, length: entryLength } = entry
    for (const changed of entry.changes) {
      const { family, name, valueBytes: bytes, offset } = changed
      const before = head.row(name)
      if (before !== undefined) {
        operations.push({ type: 'put', key: oldRow(name, stampOf(before)), value: stampBytes(serial, before) })
      }
      const after = bytes === undefined ? undefined : headRow({ serial, entryLength, family, bytes, offset })
      operations.push(after === undefined ? { type: 'del', key: keyRow(name) } : { type: 'put', key: keyRow(name), value: after })
      rows.set(name, after)
      const change = new LazyChange(entry, changed, before, head.entryAt)
      for (const fold of this.#changeFolds) fold(change)
    }
  }

  /** A row put again as it is, right after it was, is passed over: many changes of an entry may be of one page. */
  #sinkOf(projection: string): RowSink {
    let last: { readonly operations: RowOperation[]; readonly row: string; readonly value: Uint8Array } | undefined
    return {
      put: (row, value) => {
        if (last?.row === row && last.operations === this.#operations && Buffer.compare(last.value, value) === 0) return
        last = { operations: this.#operations, row, value }
        this.#operations.push({ type: 'put', key: projectionRow(projection, row), value })
      },
      delete: (row) => {
        last = undefined
        this.#operations.push({ type: 'del', key: projectionRow(projection, row) })
      },
    }
  }
}

/** Decodes the values, once, only for a projection that looks at them. */
class LazyChange implements FoldedChange {
  readonly serial: Serial
  readonly time: number
  readonly family: string
  readonly segments: readonly string[]
  readonly #beforeRow: Uint8Array | undefined
  readonly #afterBytes: Uint8Array | undefined
  readonly #entryAt: EntryAt
  #before: JsonValue | undefined
  #after: JsonValue | undefined

  constructor(entry: LocatedEntry, { family, segments, valueBytes }: LocatedChange, before: Uint8Array | undefined, entryAt: EntryAt) {
    this.serial = entry.serial
    this.time = entry.time
    this.family = family
    this.segments = segments
    this.#beforeRow = before
    this.#afterBytes = valueBytes
    this.#entryAt = entryAt
  }

  read<T>(which: 'before' | 'after', read: ReadValue<T>): T | undefined {
    if (which === 'before') return this.#beforeRow && readValue(this.#beforeRow, this.#entryAt, read)
    return this.#afterBytes && read(this.#afterBytes, 0)
  }

  get before(): JsonValue | undefined {
    if (this.#beforeRow !== undefined) this.#before ??= valueOf(this.#beforeRow, this.#entryAt)
    return this.#before
  }

  get after(): JsonValue | undefined {
    if (this.#afterBytes !== undefined) this.#after ??= unpackValue(this.#afterBytes)
    return this.#after
  }
}
