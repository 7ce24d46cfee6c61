import type { Serial } from '#log-format/serial.js'
import type { TouchedKey } from './fold.js'

/** Which keys an entry touched. */
export interface ChangedKeys {
  readonly serial: Serial
  readonly touched: readonly TouchedKey[]
}

const MOST_NAMES = 20_000

/**
 * The keys that the newest writes may have put into the rows. A reader at or
 * near the head learns from it, without a look at the disk, that what a key
 * is now is what it was at his serial: also while others write.
 */
export class RecentChanges {
  /** Newest serial that any write so far may have put into the rows. */
  newest: Serial
  /** From here on every change is in `#serials`. */
  #completeFrom: Serial
  readonly #serials = new Map<string, Serial>()

  constructor(head: Serial) {
    this.newest = head
    this.#completeFrom = head
  }

  add(entries: readonly ChangedKeys[]): void {
    if (this.#serials.size > MOST_NAMES) {
      this.#serials.clear()
      this.#completeFrom = this.newest
    }
    for (const { serial, touched } of entries) {
      for (const { name } of touched) this.#serials.set(name, serial)
      this.newest = serial
    }
  }

  /** False also when nobody remembers. */
  isUnchangedSince(name: string, serial: Serial): boolean {
    if (this.newest <= serial) return true
    return serial >= this.#completeFrom && (this.#serials.get(name) ?? serial) <= serial
  }
}
