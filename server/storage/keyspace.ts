import { unpackValue } from '#log-format/codec.js'
import type { Key, KeyRange } from '#log-format/key-pattern.js'
import type { Serial } from '#log-format/serial.js'
import type { Stored } from '#log-format/values.js'
import type { Database, RowCursor } from './database.js'
import type { Reader, ScannedKey } from './reader.js'
import {
  endOfOldRows,
  keyName,
  keyRow,
  nameOfKeyRow,
  nameOfOldRow,
  nameRange,
  oldRow,
  segmentsOfName,
  stampOf,
  withoutStamp,
} from './rows.js'

/** Old rows of one key walked over before the cursor jumps instead. */
const STEPS_BEFORE_SEEK = 8

/**
 * Every key at every serial. A key's value at head is one row; a value that
 * was replaced or deleted moves to an old row that says until when it held.
 * So a read at head touches nothing old, a key that never changed costs
 * nothing twice, and a read at a past serial is one seek for each key.
 */
export class Keyspace {
  readonly #db: Database
  /** Newest serial that any write so far may have put into the rows. */
  #newestStarted: Serial

  constructor(db: Database, head: Serial) {
    this.#db = db
    this.#newestStarted = head
  }

  /** To be called before a batch with entries up to `serial` is handed to the database. */
  writeStarts(serial: Serial): void {
    this.#newestStarted = serial
  }

  headRow(name: string): Uint8Array | undefined {
    return this.#db.get(keyRow(name))
  }

  readerAt(serial: Serial): Reader {
    return {
      serial,
      get: async (key) => (await this.#find(key, serial))?.value,
      find: (key) => this.#find(key, serial),
      scan: (range) => this.#scan(range, serial),
      existed: async (key) =>
        (await this.#find(key, serial)) !== undefined || (await this.#oldRowUpTo(keyName(key.family, key.segments), serial)) !== undefined,
    }
  }

  async #find<V>(key: Key<V>, serial: Serial): Promise<Stored<V> | undefined> {
    const name = keyName(key.family, key.segments)
    // The head row is read before the old ones: a commit in between moves a row from here to there, never back.
    const settled = this.#newestStarted <= serial
    const row = this.#db.get(keyRow(name))
    if (row !== undefined && stampOf(row) <= serial) return stored(row)
    if (settled) return undefined
    const old = await this.#oldRowUpTo(name, serial)
    return old !== undefined && stampOf(old) > serial ? stored(withoutStamp(old)) : undefined
  }

  /** The newest old row whose value began at or before `serial`: when it ended, then the row it was. */
  async #oldRowUpTo(name: string, serial: Serial): Promise<Uint8Array | undefined> {
    const from = oldRow(name, serial)
    const found = await this.#db.first({ gte: from, lt: endOfOldRows(name) })
    return found?.[1]
  }

  async *#scan<V>(range: KeyRange<V>, serial: Serial): AsyncGenerator<ScannedKey<V>> {
    const { from, to } = nameRange(range.family, range.segments)
    const settled = this.#newestStarted <= serial
    const heads = { gte: keyRow(from), lt: keyRow(to) }
    if (settled) {
      for await (const rows of this.#db.batches(heads)) {
        for (const [row, bytes] of rows) yield scanned(nameOfKeyRow(row), bytes)
      }
      return
    }
    // Opened in this order for the reason given in #find.
    const current = this.#db.cursor(heads)
    const old = this.#db.cursor({ gte: `o${from}`, lt: `o${to}` })
    try {
      yield* mergeAt<V>(current, old, serial)
    } finally {
      await Promise.all([current.close(), old.close()])
    }
  }
}

/** Merges head rows with old rows, both in order of names, into what stood at `serial`. */
async function* mergeAt<V>(current: RowCursor, old: RowCursor, serial: Serial): AsyncGenerator<ScannedKey<V>> {
  for (;;) {
    const head = current.held() ?? (await current.peek())
    const past = old.held() ?? (await old.peek())
    if (head === undefined && past === undefined) return
    const headName = head === undefined ? undefined : nameOfKeyRow(head[0])
    const pastName = past === undefined ? undefined : nameOfOldRow(past[0])
    const headFirst = headName !== undefined && (pastName === undefined || compareNames(headName, pastName) <= 0)

    if (headFirst && head !== undefined) {
      current.advance()
      if (stampOf(head[1]) <= serial) {
        yield scanned(headName, head[1])
        if (pastName === headName) await skipName(old, headName)
      }
      continue
    }
    if (pastName === undefined) return
    const row = await oldRowAt(old, pastName, serial)
    if (row !== undefined && stampOf(row) > serial) yield scanned(pastName, withoutStamp(row))
    await skipName(old, pastName)
  }
}

/** Moves to the newest old row of `name` that began at or before `serial`; undefined when there is none. */
async function oldRowAt(old: RowCursor, name: string, serial: Serial): Promise<Uint8Array | undefined> {
  const wanted = oldRow(name, serial)
  for (let steps = 0; ; steps += 1) {
    const row = old.held() ?? (await old.peek())
    if (row === undefined || nameOfOldRow(row[0]) !== name) return undefined
    if (row[0] >= wanted) return row[1]
    if (steps >= STEPS_BEFORE_SEEK) old.seek(wanted)
    else old.advance()
  }
}

async function skipName(old: RowCursor, name: string): Promise<void> {
  for (let steps = 0; ; steps += 1) {
    const row = old.held() ?? (await old.peek())
    if (row === undefined || nameOfOldRow(row[0]) !== name) return
    if (steps >= STEPS_BEFORE_SEEK) old.seek(endOfOldRows(name))
    else old.advance()
  }
}

/**
 * Byte order of UTF-8, as LevelDB has it. UTF-16 code units order the same
 * way but for surrogates, which stand for characters above all others.
 */
export function compareNames(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at += 1) {
    const left = a.charCodeAt(at)
    const right = b.charCodeAt(at)
    if (left !== right) return rank(left) - rank(right)
  }
  return a.length - b.length
}

function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}

function stored<V>(row: Uint8Array): Stored<V> {
  return { value: unpackValue(withoutStamp(row)) as V, serial: stampOf(row) }
}

function scanned<V>(name: string, row: Uint8Array): ScannedKey<V> {
  return { segments: segmentsOfName(name), ...stored<V>(row) }
}
