import { compareNames } from './name-order.js'
import { ROWS_AT_A_TIME, type RowIterator } from './row-batches.js'

export interface SeekingIterator extends RowIterator {
  seek(key: string): void
}

/** Walks rows in order and can jump forward; must be closed. */
export class RowCursor {
  readonly #iterator: SeekingIterator
  #rows: [string, Uint8Array][] = []
  #next = 0
  #ended = false
  #want = 64

  constructor(iterator: SeekingIterator) {
    this.#iterator = iterator
  }

  /** The row at the cursor, without moving; undefined behind the last one. */
  async peek(): Promise<[string, Uint8Array] | undefined> {
    if (this.#next >= this.#rows.length && !this.#ended) {
      this.#rows = await this.#iterator.nextv(this.#want)
      this.#next = 0
      this.#want = Math.min(this.#want * 4, ROWS_AT_A_TIME)
      this.#ended = this.#rows.length === 0
    }
    return this.#rows[this.#next]
  }

  /** The row at the cursor if it was already fetched: spares a promise for each row of a long walk. */
  held(): [string, Uint8Array] | undefined {
    return this.#rows[this.#next]
  }

  advance(): void {
    this.#next += 1
  }

  /** Moves forward to the first row at or behind `key`. */
  seek(key: string): void {
    const last = this.#rows.at(-1)
    if (last !== undefined && compareNames(last[0], key) >= 0) {
      while (compareNames(this.#rows[this.#next]?.[0] ?? key, key) < 0) this.#next += 1
      return
    }
    this.#iterator.seek(key)
    this.#rows = []
    this.#next = 0
    this.#ended = false
    this.#want = 16
  }

  async close(): Promise<void> {
    await this.#iterator.close()
  }
}
