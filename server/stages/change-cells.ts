import { lastChangeOf, scopesOf } from '#server/projections/last-changed.js'
import type { CommittedEntry } from '#server/storage/writer.js'
import type { Storage } from '#server/storage/storage.js'

/** When a scope changed last. The object stays the same for the scope, its serial grows. */
export interface ChangeCell {
  readonly scope: string
  /** Infinite once the cell follows the head no more: above that of any reader, and unlike any seen before. */
  serial: number
}

/** Whether the cell follows the head no more, so that nothing new may rest on it. */
export function isRetired({ serial }: ChangeCell): boolean {
  return serial === Infinity
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
  readonly #mostCells: number

  /** `onForget` is called when cells stop following the head: everything that holds one must be dropped. */
  constructor(storage: Storage, onForget: () => void, { mostCells = MOST_CELLS }: { readonly mostCells?: number } = {}) {
    this.#storage = storage
    this.#onForget = onForget
    this.#mostCells = mostCells
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
    if (this.#cells.size >= this.#mostCells) this.#forgetAll()
    const cell: ChangeCell = { scope, serial: now }
    this.#cells.set(scope, cell)
    return cell
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]()
    this.#forgetAll()
  }

  #follow(entries: readonly CommittedEntry[]): void {
    if (this.#cells.size === 0) return
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
    // Somebody may hold some of them already while they wait for more, and has nothing to drop yet.
    for (const cell of this.#cells.values()) cell.serial = Infinity
    this.#cells.clear()
    this.#onForget()
  }
}
