import type { Level } from 'level'
import { RAW, type RawRow } from './raw-row.js'

const ROWS_AT_A_TIME = 1024

/** The rows of a database as they were in one moment, as bytes. LevelDB keeps for it what is replaced meanwhile. */
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

  async last({ gte, lt }: { readonly gte: string; readonly lt: string }): Promise<RawRow | undefined> {
    const iterator = this.#level.iterator<Uint8Array, Uint8Array>({ ...RAW, gte: Buffer.from(gte), lt: Buffer.from(lt), reverse: true, limit: 1, snapshot: this.#snapshot })
    try {
      return (await iterator.nextv(1))[0]
    } finally {
      await iterator.close()
    }
  }

  /** In batches of about a megabyte; the next one is fetched while one is looked at. */
  async *batches({ gte, lt }: { readonly gte: string; readonly lt: string }): AsyncGenerator<readonly RawRow[]> {
    const iterator = this.#level.iterator<Uint8Array, Uint8Array>({
      ...RAW, gte: Buffer.from(gte), lt: Buffer.from(lt), snapshot: this.#snapshot, highWaterMarkBytes: 1 << 20,
    })
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
