import { Level } from 'level'
import type { IteratorOptions } from 'classic-level'
import { Refusal } from '#log-format/api/refusal.js'
import { DatabaseView } from './database-view.js'
import { freeBytesOf } from './disk-room.js'
import { batchesOf, firstOf, type Row, ROWS_AT_A_TIME } from './row-batches.js'
import { RowCursor, type SeekingIterator } from './row-cursor.js'

declare module 'level' {
  // The published types leave out the synchronous read with the `undefined` of a miss, and what only LevelDB can do.
  interface Level<KDefault = string, VDefault = string> {
    getSync(key: KDefault): VDefault | undefined
    compactRange(start: KDefault, end: KDefault): Promise<void>
    approximateSize(start: KDefault, end: KDefault): Promise<number>
  }
}

export interface RowPut {
  readonly type: 'put'
  readonly key: string
  readonly value: Uint8Array
}
export interface RowDelete {
  readonly type: 'del'
  readonly key: string
}
export type RowOperation = RowPut | RowDelete

/** From `gte` or `gt` up to, not including, `lt`; in the byte order of UTF-8. */
export interface RowRange {
  readonly gte?: string
  readonly gt?: string
  readonly lt: string
  readonly reverse?: boolean
  readonly limit?: number
}

/** Rows gathered in memory before LevelDB sorts them into a file: fewer files to merge, against a longer replay on open. */
const WRITE_BUFFER_BYTES = 16 * 1024 * 1024
/** Free bytes needed to write out what is in memory: a buffer of rows, and one that is just being written. A try that fails here is LevelDB's last. */
const FLUSH_BYTES = 3 * WRITE_BUFFER_BYTES

/** Between two tries to open it again. */
const REOPEN_MS = 1000

/** A key that nothing has. */
const NO_ROW = '\u{10ffff}'

/** LevelDB as ordered text keys with byte values. One process holds it. */
export class Database implements AsyncDisposable {
  readonly #level: Level<string, Uint8Array>
  readonly #folder: string
  /**
   * A write that fails leaves a part of itself in the write-ahead file. LevelDB goes on behind it, and passes over all
   * of that when it opens the file again: rows would be gone that were said to be on the disk.
   */
  #tears = 0
  /** So many of them are mended. */
  #mended = 0
  #mending: Promise<void> | undefined
  /** How often it was opened again, after which nothing is there of what lay behind a tear. */
  #reopened = 0
  #isOver = false

  private constructor(level: Level<string, Uint8Array>, folder: string) {
    this.#level = level
    this.#folder = folder
  }

  /**
   * Refuses `conflict` when another process holds the folder or LevelDB cannot read what is there, `storage-full` when
   * there is no room for what an open writes; rejects for an absent one when it must exist.
   */
  static async open(folder: string, { mustExist = false } = {}): Promise<Database> {
    const level = new Level<string, Uint8Array>(folder, {
      keyEncoding: 'utf8',
      valueEncoding: 'view',
      writeBufferSize: WRITE_BUFFER_BYTES,
      createIfMissing: !mustExist,
    })
    try {
      await level.open()
    } catch (error) {
      if (isLocked(error)) {
        throw new Refusal('conflict', `another process uses ${folder}; stop it, or choose another --serverdir`, {
          cause: error,
        })
      }
      throw unreadable(folder, error)
    }
    return new Database(level, folder)
  }

  get(key: string): Uint8Array | undefined {
    return this.#level.getSync(key)
  }

  /** Reads many rows away from the main thread; undefined where there is none. */
  async getMany(keys: string[]): Promise<(Uint8Array | undefined)[]> {
    return this.#level.getMany(keys)
  }

  /**
   * Applies all or none; with `sync` they are on the disk when it resolves. After a write that failed, the next one
   * waits for a new write-ahead file; it refuses `storage-full` while there is no room for that.
   */
  async write(operations: Iterable<RowOperation>, options: { readonly sync: boolean }): Promise<void> {
    await this.mended()
    const reopened = this.#reopened
    const batch = this.#level.batch() // encodes into one buffer: a third of the time that an array of operations takes
    for (const operation of operations) {
      if (operation.type === 'put') batch.put(operation.key, operation.value)
      else batch.del(operation.key)
    }
    await this.#noticing(() => batch.write(options))
    await this.#settled(reopened)
  }

  /**
   * Resolves once nothing of a write that failed is in the way of the next ones, nor comes back with a restart. Refuses
   * `storage-full` while there is no room for that.
   */
  async mended(): Promise<void> {
    while (this.#mended < this.#tears) {
      this.#mending ??= this.#begunAnew().finally(() => { this.#mending = undefined })
      await this.#mending
    }
  }

  /**
   * Brings everything written so far to the disk, also what was not synced:
   * a later synced write alone does not promise that, because LevelDB changes
   * its write-ahead file without syncing the old one.
   */
  async flush(): Promise<void> {
    await this.#mending?.catch(() => undefined)
    await this.#writeOut()
  }

  async #writeOut(): Promise<void> {
    if (this.#level.status !== 'open') return // where it could not be opened again, nothing is in memory
    await this.#level.compactRange('a', 'a') // a range without rows: it writes out what is in memory and compacts nothing
  }

  /** Bytes that a range takes on the disk, roughly; not those of rows written lately, which are still in memory. */
  sizeOf({ gte, lt }: { readonly gte: string; readonly lt: string }): Promise<number> {
    return this.#level.approximateSize(gte, lt)
  }

  /** A cursor over the rows as they are now; later writes do not show. */
  cursor(range: RowRange): RowCursor {
    return new RowCursor(this.#iterator(range))
  }

  /** The rows as they are at the first step, in batches. */
  async *batches(range: RowRange): AsyncGenerator<Row[]> {
    yield* batchesOf(this.#iterator(range), ROWS_AT_A_TIME)
  }

  first(range: RowRange): Promise<Row | undefined> {
    return firstOf(this.#iterator({ ...range, limit: 1 }))
  }

  /** All rows as they are now, whatever is written afterwards; must be closed. */
  view(): DatabaseView {
    return new DatabaseView(this.#level)
  }

  async clear(range: { readonly gte: string; readonly lt: string }): Promise<void> {
    await this.mended()
    const reopened = this.#reopened
    await this.#noticing(() => this.#level.clear(range))
    await this.#settled(reopened)
  }

  async close(): Promise<void> {
    this.#isOver = true // nothing opens it again
    await this.#mending?.catch(() => undefined)
    await this.#level.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #noticing(write: () => Promise<void>): Promise<void> {
    try {
      await write()
    } catch (error) {
      this.#tears += 1
      throw error
    }
  }

  /** To be awaited after a write, which may have been on its way behind one that failed: the next open may pass over it. */
  async #settled(reopened: number): Promise<void> {
    await this.mended()
    if (this.#reopened !== reopened) throw new Error('the database was opened again while this was written, which may be gone')
  }

  /** Has LevelDB write out its rows and begin another write-ahead file; where that is what failed, it has to be opened again. */
  async #begunAnew(): Promise<void> {
    const tears = this.#tears // a write that was on its way may add to them
    if (this.#level.status === 'open') {
      if ((await freeBytesOf(this.#folder)) < FLUSH_BYTES) throw new Refusal('storage-full', 'the disk of the server is full; nothing was changed, try again when there is room')
      await this.#writeOut()
      if (!(await this.#takesWrites())) await this.#openAgain()
    } else {
      await this.#openAgain()
    }
    this.#mended = tears
  }

  async #openAgain(): Promise<void> {
    if (this.#isOver) throw new Refusal('not-available', 'the server is shutting down')
    this.#reopened += 1
    await this.#level.close() // reads that are under way fail
    try {
      await this.#level.open()
    } catch (error) {
      setTimeout(() => { this.mended().catch(() => undefined) }, REOPEN_MS).unref() // until then nothing can be read
      throw error
    }
  }

  async #takesWrites(): Promise<boolean> {
    try {
      await this.#level.del(NO_ROW)
      return true
    } catch {
      return false
    }
  }

  #iterator(range: RowRange): SeekingIterator {
    const options: IteratorOptions<string, Uint8Array> = { ...range, highWaterMarkBytes: 1 << 20 }
    return this.#level.iterator<string, Uint8Array>(options)
  }
}

/** Whether that is why it could not be opened: another process holds the folder. */
export function isInUse(error: unknown): boolean {
  return error instanceof Refusal && isLocked(error.cause)
}

const NOT_OPEN: readonly unknown[] = ['LEVEL_DATABASE_NOT_OPEN', 'LEVEL_ITERATOR_NOT_OPEN', 'LEVEL_SNAPSHOT_NOT_OPEN']

/** Whether a read failed only because LevelDB was being opened again at that moment, or closed. */
export function isNotOpen(error: unknown): boolean {
  return error instanceof Error && 'code' in error && NOT_OPEN.includes(error.code)
}

function isLocked(error: unknown): boolean {
  return levelFault(error)?.code === 'LEVEL_LOCKED'
}

/** In a sentence, where LevelDB says why. */
function unreadable(folder: string, error: unknown): unknown {
  const fault = levelFault(error)
  if (fault === undefined) return error
  if (/No space left|Disk quota/.test(fault.message)) {
    return new Refusal('storage-full', `the disk is full, and the database ${folder} cannot be opened without some room; make some, and start again`, { cause: error })
  }
  return new Refusal('conflict', `the database ${folder} cannot be opened: ${fault.message}; if a file of it is damaged, restore it from a backup, or begin anew as a replica`, { cause: error })
}

function levelFault(error: unknown): { readonly code: string; readonly message: string } | undefined {
  const cause = error instanceof Error ? error.cause : undefined // made in native code: `instanceof` need not know it
  if (typeof cause !== 'object' || cause === null || !('code' in cause) || !('message' in cause)) return undefined
  const { code, message } = cause
  return typeof code === 'string' && typeof message === 'string' && code.startsWith('LEVEL_') ? { code, message } : undefined
}
