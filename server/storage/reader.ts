import type { Key, KeyRange } from '#log-format/key-pattern.js'
import type { Serial } from '#log-format/serial.js'
import type { Stored } from '#log-format/values.js'

/** One key of a scan: its parameters in the order of the pattern, its value, and the serial that wrote it. */
export interface ScannedKey<V> extends Stored<V> {
  readonly segments: readonly string[]
}

/** All keys as they stand at one serial. Costs what is read; holds nothing that must be closed. */
export interface Reader {
  readonly serial: Serial
  get<V>(key: Key<V>): Promise<V | undefined>
  /** The value together with the serial that wrote it, its back serial. */
  find<V>(key: Key<V>): Promise<Stored<V> | undefined>
  /** In the byte order of the segments. */
  scan<V>(range: KeyRange<V>): AsyncIterable<ScannedKey<V>>
  /**
   * The same in batches of any size, with what `read` makes of the msgpack of
   * each value, which goes from `start` to the end: for many keys, a step for each and the whole of a value cost
   * more than what is wanted of it.
   */
  scanBatches<T>(range: KeyRange<unknown>, read: (bytes: Uint8Array, start: number) => T): AsyncIterable<readonly ScannedKey<T>[]>
  /** Values that the key had before this serial and has no more, the newest first. */
  formerValues<V>(key: Key<V>): AsyncIterable<V>
  /** Whether the key had a value at this serial or at any before it. */
  existed(key: Key<unknown>): Promise<boolean>
}
