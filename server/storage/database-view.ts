import type { Level } from 'level'
import { batchesOf, firstOf, type Row } from './row-batches.js'

/** Many rows: what each costs beside itself is most of what reading all of them takes. */
const ROWS_AT_A_TIME = 4096

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

  last({ gte, lt }: Range): Promise<Row | undefined> {
    return firstOf(this.#level.iterator({ gte, lt, reverse: true, limit: 1, snapshot: this.#snapshot }))
  }

  /** In batches of about a megabyte. */
  async *batches({ gte, lt }: Range): AsyncGenerator<Row[]> {
    yield* batchesOf(this.#level.iterator({ gte, lt, snapshot: this.#snapshot, highWaterMarkBytes: 1 << 20 }), ROWS_AT_A_TIME)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#snapshot.close()
  }
}
