import { unpackValue } from '#log-format/codec.js'
import { type EntrySlices, namesInSlice } from '#log-format/entry-slices.js'
import { locatePath } from '#log-format/keys.js'
import type { Serial } from '#log-format/serial.js'
import type { JsonValue } from '#log-format/values.js'
import type { RowOperation } from './database.js'
import type { FoldedChange, Projection, RowSink } from './projection.js'
import { keyName, keyRow, oldRow, projectionRow, stampBytes, stampOf, withoutStamp } from './rows.js'

/** Head rows as they are before the entry: serial stamp and value bytes, or undefined for an absent key. */
export interface HeadRows {
  row(name: string): Uint8Array | undefined
}

/** Which key an entry touched. */
export interface TouchedKey {
  readonly family: string
  readonly segments: readonly string[]
}

export interface FoldedEntry {
  readonly operations: RowOperation[]
  /** Head rows after the entry, by key name; undefined where a key was deleted. */
  readonly rows: ReadonlyMap<string, Uint8Array | undefined>
  readonly touched: readonly TouchedKey[]
}

/**
 * Turns an entry into the rows that follow from it: head values, the values
 * they replace, and the rows of every projection. Values are taken over as
 * the bytes they are in the entry. Pure but for `head`, which must show the
 * state before the entry; primary, rebuild and verify all use it.
 */
export function foldEntry(entry: EntrySlices, head: HeadRows, projections: readonly Projection[]): FoldedEntry {
  const operations: RowOperation[] = []
  const rows = new Map<string, Uint8Array | undefined>()
  const touched: TouchedKey[] = []
  const sinks = projections.map((projection) => ({ projection, sink: new BatchSink(projection.name, operations) }))
  foldMutation(entry, sinks)

  for (const { path, valueBytes } of entry.changes) {
    const { family, segments } = locatePath(path)
    const name = keyName(family, segments)
    const before = head.row(name)
    if (before !== undefined) {
      operations.push({ type: 'put', key: oldRow(name, stampOf(before)), value: stampBytes(entry.serial, before) })
    }
    const after = valueBytes === undefined ? undefined : stampBytes(entry.serial, valueBytes)
    operations.push(
      after === undefined
        ? { type: 'del', key: keyRow(name) }
        : { type: 'put', key: keyRow(name), value: after },
    )
    rows.set(name, after)
    touched.push({ family, segments })

    const change = new LazyChange({ entry, family, segments, before, after })
    for (const { projection, sink } of sinks) projection.fold?.(change, sink)
  }
  return { operations, rows, touched }
}

interface ProjectionSink {
  readonly projection: Projection
  readonly sink: RowSink
}

function foldMutation({ serial, mutationBytes }: EntrySlices, sinks: readonly ProjectionSink[]): void {
  const interested = sinks.filter(({ projection }) => projection.foldMutation !== undefined)
  if (interested.length === 0) return
  const mutated = { serial, names: namesInSlice(mutationBytes) }
  for (const { projection, sink } of interested) projection.foldMutation?.(mutated, sink)
}

/** Decodes the values, once, only for a projection that looks at them. */
class LazyChange implements FoldedChange {
  readonly serial: Serial
  readonly time: number
  readonly family: string
  readonly segments: readonly string[]
  readonly #before: LazyValue
  readonly #after: LazyValue

  constructor(input: {
    readonly entry: EntrySlices
    readonly family: string
    readonly segments: readonly string[]
    readonly before: Uint8Array | undefined
    readonly after: Uint8Array | undefined
  }) {
    this.serial = input.entry.serial
    this.time = input.entry.time
    this.family = input.family
    this.segments = input.segments
    this.#before = { row: input.before, value: undefined }
    this.#after = { row: input.after, value: undefined }
  }

  get before(): JsonValue | undefined {
    return valueOf(this.#before)
  }

  get after(): JsonValue | undefined {
    return valueOf(this.#after)
  }
}

interface LazyValue {
  readonly row: Uint8Array | undefined
  value: JsonValue | undefined
}

function valueOf(lazy: LazyValue): JsonValue | undefined {
  if (lazy.row !== undefined) lazy.value ??= unpackValue(withoutStamp(lazy.row))
  return lazy.value
}

class BatchSink implements RowSink {
  readonly #projection: string
  readonly #operations: RowOperation[]

  constructor(projection: string, operations: RowOperation[]) {
    this.#projection = projection
    this.#operations = operations
  }

  put(row: string, value: Uint8Array): void {
    this.#operations.push({ type: 'put', key: projectionRow(this.#projection, row), value })
  }

  delete(row: string): void {
    this.#operations.push({ type: 'del', key: projectionRow(this.#projection, row) })
  }
}
