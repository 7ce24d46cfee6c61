import type { JsonValue } from '#log-format/values.js'
import type { Storage } from '#server/storage/storage.js'

/** A content that could not be had so far. */
export interface MissingBlob {
  readonly sha256: string
  readonly size: number
  /** Of a file that is this content. */
  readonly path: string
  /** How often it was tried. */
  readonly failures: number
  /** When it is tried again, ms since the epoch. */
  readonly due: number
  /** Why it could not be had. */
  readonly message: string
}

const PREFIX = 'missing-blob\0'
/** Of more than these only the number is told. */
const MOST_SHOWN = 1000
const ROWS_AT_A_TIME = 200

/**
 * Contents that could not be had, in the database: however many they are,
 * they take no memory, and a restart forgets none. What is told of
 * them is kept in memory, as far as people read it.
 */
export class BlobBacklog {
  readonly #storage: Storage
  readonly #shown = new Map<string, MissingBlob>()
  readonly #clearing = new Set<string>()
  #count = 0

  private constructor(storage: Storage) {
    this.#storage = storage
  }

  static async open(storage: Storage): Promise<BlobBacklog> {
    const backlog = new BlobBacklog(storage)
    for await (const missing of backlog.all()) backlog.#added(missing)
    return backlog
  }

  get count(): number {
    return this.#count
  }

  /** Some of them, all if they are few. */
  get shown(): Iterable<MissingBlob> {
    return this.#shown.values()
  }

  failuresOf(sha256: string): number {
    return this.#find(sha256)?.failures ?? 0
  }

  async add(missing: MissingBlob): Promise<void> {
    const isNew = this.#find(missing.sha256) === undefined
    await this.#storage.notes.set(PREFIX + missing.sha256, { ...missing })
    if (isNew) this.#added(missing)
    else if (this.#shown.has(missing.sha256)) this.#shown.set(missing.sha256, missing)
  }

  /** Does nothing about what is not in it. */
  async clear(sha256: string): Promise<void> {
    if (this.#clearing.has(sha256) || this.#find(sha256) === undefined) return
    this.#clearing.add(sha256)
    try {
      await this.#storage.notes.drop(PREFIX + sha256)
      this.#shown.delete(sha256)
      this.#count -= 1
    } finally {
      this.#clearing.delete(sha256)
    }
  }

  /** All, in the order of digests. Nothing is held open between two steps. */
  async *all(): AsyncGenerator<MissingBlob> {
    for (let from = PREFIX; ; ) {
      const rows = await this.#storage.notes.list(PREFIX, { from, limit: ROWS_AT_A_TIME })
      for (const [, value] of rows) {
        const missing = missingOf(value)
        if (missing !== undefined) yield missing
      }
      const last = rows.at(-1)
      if (last === undefined || rows.length < ROWS_AT_A_TIME) return
      from = `${last[0]}\0`
    }
  }

  #find(sha256: string): MissingBlob | undefined {
    const found = this.#shown.get(sha256)
    if (found !== undefined || this.#count === this.#shown.size) return found
    return missingOf(this.#storage.notes.get(PREFIX + sha256))
  }

  #added(missing: MissingBlob): void {
    this.#count += 1
    if (this.#shown.size < MOST_SHOWN) this.#shown.set(missing.sha256, missing)
  }
}

function missingOf(value: JsonValue | undefined): MissingBlob | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const { sha256, size, path, failures, due, message } = value as { readonly [name: string]: JsonValue }
  if (typeof sha256 !== 'string' || typeof size !== 'number' || typeof path !== 'string') return undefined
  if (typeof failures !== 'number' || typeof due !== 'number' || typeof message !== 'string') return undefined
  return { sha256, size, path, failures, due, message }
}
