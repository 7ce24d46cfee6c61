import type { Level } from 'level'

/** Many rows: what each costs beside itself is most of what reading all of them takes. */
const ROWS_AT_A_TIME = 4096

/** A key and its value, as they lie in a database. */
export type Row = readonly [string, Uint8Array]

interface Range {
  readonly gte: string
  readonly lt: string
}

/** The rows of a database as they were in one moment. LevelDB keeps for it what is replaced meanwhile. */
export class DatabaseView implements AsyncDisposable {
  readonly #level: Level<string, Uint8Array>
  readonly #snapshot: ReturnType<Level['snapshot']>

  constructor(level: Level<string, Uint8Array>) {
    this.#level = level
    this.#snapshot = level.snapshot()
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#level.get(key, { snapshot: this.#snapshot })
  }

  async last({ gte, lt }: Range): Promise<Row | undefined> {
    const iterator = this.#level.iterator({ gte, lt, reverse: true, limit: 1, snapshot: this.#snapshot })
    try {
      return (await iterator.nextv(1))[0]
    } finally {
      await iterator.close()
    }
  }

  /** In batches of about a megabyte; the next one is fetched while one is looked at. */
  async *batches({ gte, lt }: Range): AsyncGenerator<readonly Row[]> {
    const iterator = this.#level.iterator<string, Uint8Array>({ gte, lt, snapshot: this.#snapshot, highWaterMarkBytes: 1 << 20 })
    try {
      let rows = await iterator.nextv(ROWS_AT_A_TIME)
      while (rows.length > 0) {
        const next = iterator.nextv(ROWS_AT_A_TIME)
        next.catch(() => undefined) // thrown below, unless the caller stops before
        yield rows
        rows = await next
      }
    } finally {
      await iterator.close()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#snapshot.close()
  }
}
