import type { CommittedEntry } from './writer.js'

export type CommitListener = (entries: readonly CommittedEntry[]) => void

/** Who is told of entries in the moment the head moves. */
export class CommitListeners {
  readonly #listeners = new Set<CommitListener>()

  /** Until what is returned is disposed. */
  add(listener: CommitListener): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) }
  }

  /** A fault of one is an uncaught one: it must not pass for a write that failed. */
  tell(entries: readonly CommittedEntry[]): void {
    for (const listener of this.#listeners) {
      try {
        listener(entries)
      } catch (fault) {
        queueMicrotask(() => { throw fault })
      }
    }
  }
}
