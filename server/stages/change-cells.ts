import type { Serial } from '#log-format/serial.js'
import { lastChangeOf, scopesOf } from '#server/projections/last-changed.js'
import type { CommittedEntry } from '#server/storage/writer.js'
import type { Storage } from '#server/storage/storage.js'

/** When a scope changed last. The object stays the same for the scope, its serial grows. */
export interface ChangeCell {
  readonly scope: string
  serial: Serial
}

/** Cells kept; beyond them all are forgotten, and so must be whatever relies on one. */
const MOST_CELLS = 200_000

/**
 * The last-changed projection as objects that follow the head: to see whether
 * an answer still holds is to compare a few numbers.
 */
export class ChangeCells implements Disposable {
  readonly #storage: Storage
  readonly #cells = new Map<string, ChangeCell>()
  readonly #subscription: Disposable
  readonly #onForget: () => void

  /** `onForget` is called when cells stop following the head: everything that holds one must be dropped. */
  constructor(storage: Storage, onForget: () => void) {
    this.#storage = storage
    this.#onForget = onForget
    this.#subscription = storage.onCommit((entries) => this.#follow(entries))
  }

  /** The cell of a scope; resolves once the head has reached the serial it holds. */
  async cell(scope: string): Promise<ChangeCell> {
    const known = this.#cells.get(scope)
    if (known !== undefined) return known
    // The row may belong to a batch that is on the disk and not yet the head.
    const serial = lastChangeOf(this.#storage, scope)
    await this.#storage.reached(serial)
    const meanwhile = this.#cells.get(scope)
    if (meanwhile !== undefined) return meanwhile
    const now = lastChangeOf(this.#storage, scope)
    if (now > this.#storage.head.serial) return this.cell(scope)
    if (this.#cells.size >= MOST_CELLS) this.#forgetAll()
    const cell: ChangeCell = { scope, serial: now }
    this.#cells.set(scope, cell)
    return cell
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]()
    this.#forgetAll()
  }

  #follow(entries: readonly CommittedEntry[]): void {
    for (const { serial, touched } of entries) {
      for (const key of touched) {
        for (const scope of scopesOf(key)) {
          const cell = this.#cells.get(scope)
          if (cell !== undefined) cell.serial = serial
        }
      }
    }
  }

  #forgetAll(): void {
    this.#cells.clear()
    this.#onForget()
  }
}
