import type { Serial } from '#log-format/serial.js'
import type { JsonValue } from '#log-format/values.js'
import type { EntryAt } from './head-row.js'
import type { PendingState } from './transaction.js'

interface Pending<T> {
  readonly value: T | undefined
  readonly serial: Serial
}

/** Entries, rows and secrets of transactions that are sealed and not yet in the database. */
export class PendingRows implements PendingState {
  readonly #rows = new Map<string, Pending<Uint8Array>>()
  readonly #secrets = new Map<string, Pending<JsonValue>>()
  readonly #entries = new Map<Serial, Uint8Array>()

  setEntry(serial: Serial, bytes: Uint8Array): void {
    this.#entries.set(serial, bytes)
  }

  readonly entryAt: EntryAt = (serial) => this.#entries.get(serial)

  setRow(name: string, value: Uint8Array | undefined, serial: Serial): void {
    this.#rows.set(name, { value, serial })
  }

  setSecret(name: string, value: JsonValue | undefined, serial: Serial): void {
    this.#secrets.set(name, { value, serial })
  }

  row(name: string): { readonly bytes: Uint8Array | undefined } | undefined {
    const pending = this.#rows.get(name)
    return pending === undefined ? undefined : { bytes: pending.value }
  }

  *rows(): Generator<readonly [string, Uint8Array | undefined]> {
    for (const [name, { value }] of this.#rows) yield [name, value]
  }

  secret(name: string): { readonly secret: JsonValue | undefined } | undefined {
    const pending = this.#secrets.get(name)
    return pending === undefined ? undefined : { secret: pending.value }
  }

  /** To be called when what is sealed will not get into the database. */
  clear(): void {
    this.#rows.clear()
    this.#secrets.clear()
    this.#entries.clear()
  }

  /** To be called once the database holds everything up to `serial`. */
  forgetUpTo(serial: Serial): void {
    for (const sealed of this.#entries.keys()) if (sealed <= serial) this.#entries.delete(sealed)
    forget(this.#rows, serial)
    forget(this.#secrets, serial)
  }
}

function forget(map: Map<string, Pending<unknown>>, serial: Serial): void {
  for (const [name, pending] of map) if (pending.serial <= serial) map.delete(name)
}
