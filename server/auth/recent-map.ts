/**
 * A map that holds at most `capacity` keys and forgets the one that was
 * touched longest ago: what strangers can fill must have an end.
 */
export class RecentMap<V> {
  readonly #capacity: number
  readonly #entries = new Map<string, V>()

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get size(): number {
    return this.#entries.size
  }

  /** The value of `key`, which counts as touching it. */
  get(key: string): V | undefined {
    const value = this.#entries.get(key)
    if (value !== undefined) this.set(key, value)
    return value
  }

  set(key: string, value: V): void {
    this.#entries.delete(key) // a Map iterates in the order of insertion, so the oldest key stays first
    this.#entries.set(key, value)
    if (this.#entries.size <= this.#capacity) return
    const oldest = this.#entries.keys().next()
    if (oldest.done !== true) this.#entries.delete(oldest.value)
  }

  /** Keys and values, the one touched longest ago first; looking at them touches none. */
  all(): readonly (readonly [string, V])[] {
    return [...this.#entries]
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }
}
