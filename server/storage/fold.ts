import { packValue, unpackValue } from '#log-format/codec.js'
import type { Entry } from '#log-format/entry.js'
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
 * they replace, and the rows of every projection. Pure but for `head`, which
 * must show the state before the entry; primary, rebuild and verify all use it.
 */
export function foldEntry(entry: Entry, head: HeadRows, projections: readonly Projection[]): FoldedEntry {
  const operations: RowOperation[] = []
  const rows = new Map<string, Uint8Array | undefined>()
  const touched: TouchedKey[] = []
  const sinks = projections.map((projection) => new BatchSink(projection.name, operations))

  for (const { path, value } of entry.changes) {
    const { family, segments } = locatePath(path)
    const name = keyName(family, segments)
    const before = head.row(name)
    if (before !== undefined) {
      operations.push({ type: 'put', key: oldRow(name, stampOf(before)), value: stampBytes(entry.serial, before) })
    }
    const after = value === undefined ? undefined : stampBytes(entry.serial, packValue(value))
    operations.push(
      after === undefined
        ? { type: 'del', key: keyRow(name) }
        : { type: 'put', key: keyRow(name), value: after },
    )
    rows.set(name, after)
    touched.push({ family, segments })

    const change = new LazyChange(entry.serial, entry.time, family, segments, before, value)
    for (const [at, projection] of projections.entries()) {
      const sink = sinks[at]
      if (sink !== undefined) projection.fold(change, sink)
    }
  }
  return { operations, rows, touched }
}

/** Decodes the value before only for a projection that looks at it. */
class LazyChange implements FoldedChange {
  readonly serial: Serial
  readonly time: number
  readonly family: string
  readonly segments: readonly string[]
  readonly after: JsonValue | undefined
  readonly #beforeRow: Uint8Array | undefined

  constructor(
    serial: Serial,
    time: number,
    family: string,
    segments: readonly string[],
    beforeRow: Uint8Array | undefined,
    after: JsonValue | undefined,
  ) {
    this.serial = serial
    this.time = time
    this.family = family
    this.segments = segments
    this.after = after
    this.#beforeRow = beforeRow
  }

  get before(): JsonValue | undefined {
    return this.#beforeRow === undefined ? undefined : unpackValue(withoutStamp(this.#beforeRow))
  }
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
