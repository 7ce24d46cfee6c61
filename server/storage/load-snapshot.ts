import { join } from 'node:path'
import { type ChainHead, digestHex, EMPTY_CHAIN, extendChain } from '#log-format/chain.js'
import { checkEntry } from '#log-format/checked-entry.js'
import { packValue } from '#log-format/codec.js'
import { FormatError } from '#log-format/errors.js'
import type { Frame } from '#log-format/framing.js'
import { NO_SERIAL, type Serial } from '#log-format/serial.js'
import { Database } from './database.js'
import type { Row } from './row-batches.js'
import { DiskRoom, freeBytesOf } from './disk-room.js'
import { compareNames } from './name-order.js'
import { STORE_FORMAT } from './open.js'
import { SNAPSHOT_ROWS } from './read-snapshot.js'
import { ENTRY_ROWS, entryRow, HEAD_DIGEST_ROW, metaRow, SERIAL_BYTES, SHAPES_ROW, stampOf } from './rows.js'
import { type SnapshotHead, SnapshotReader } from './snapshot-blocks.js'
import { forgetSecretChanges } from './vault-changes.js'

/** Is there while a snapshot is being loaded: rows that were found with it are of no use. */
const LOADING_ROW = metaRow('snapshot-loading')

export interface SnapshotProgress {
  readonly rows: number
  readonly bytes: number
  /** Of the newest entry that will be here. */
  readonly serial: Serial
}

/**
 * Takes over the log and the rows of another node, into a server directory that nobody has open and that has
 * none, and resolves to the head. Entries are checked against the chain, and
 * that all is here which was sent; that rows follow from the entries is not
 * checked. It is the whole snapshot or, when this throws, after a crash too, none of it.
 */
export async function loadSnapshot(folder: string, frames: AsyncIterable<Frame>, onProgress: (progress: SnapshotProgress) => void): Promise<ChainHead> {
  await using db = await Database.open(join(folder, 'db'), { mustExist: true })
  if ((await db.first(ENTRY_ROWS)) !== undefined) throw new Error('a snapshot is loaded into an empty log only')
  await db.write([{ type: 'put', key: LOADING_ROW, value: packValue(true) }], { sync: true })
  try {
    const { announced, head } = await takeRows({ db, folder, frames, onProgress })
    await db.flush()
    const known: readonly (readonly [string, Uint8Array])[] = head.serial === NO_SERIAL ? [] : [[HEAD_DIGEST_ROW, head.digest]]
    await db.write(
      [
        ...known.map(([key, value]) => ({ type: 'put' as const, key, value })),
        { type: 'put', key: SHAPES_ROW, value: announced.shapes },
        forgetSecretChanges(head.serial),
        { type: 'del', key: LOADING_ROW },
      ],
      { sync: true },
    )
    return head
  } catch (error) {
    await dropUnfinishedSnapshot(db)
    throw error
  }
}

/** To be called before anything is read of a database: takes away what a crash left of a snapshot. */
export async function dropUnfinishedSnapshot(db: Database): Promise<void> {
  if (db.get(LOADING_ROW) === undefined) return
  for (const rows of SNAPSHOT_ROWS) await db.clear(rows)
  await db.flush()
  await db.write([{ type: 'del', key: LOADING_ROW }], { sync: true })
}

async function takeRows(input: {
  readonly db: Database
  readonly folder: string
  readonly frames: AsyncIterable<Frame>
  readonly onProgress: (progress: SnapshotProgress) => void
}): Promise<{ readonly announced: SnapshotHead; readonly head: ChainHead }> {
  const { db, folder, frames, onProgress } = input
  const reader = new SnapshotReader()
  const checks = new RowChecks()
  const done = { rows: 0, bytes: 0 }
  const room = new DiskRoom(() => freeBytesOf(folder))
  let announced: SnapshotHead | undefined
  let writing: Promise<void> = Promise.resolve()
  try {
    for await (const frame of frames) {
      const block = reader.read(frame)
      if (block.kind === 'head') announced = checkedHead(block.head)
      if (announced === undefined || block.kind !== 'rows') continue
      for (const row of block.rows) checks.add(row, announced)
      await room.ensure()
      await writing
      writing = db.write(block.rows.map(([key, value]) => ({ type: 'put' as const, key, value })), { sync: false })
      writing.catch(() => undefined) // thrown where it is awaited
      done.rows += block.rows.length
      done.bytes += frame.bytes.length
      onProgress({ ...done, serial: announced.serial })
    }
  } finally {
    await writing
  }
  if (announced === undefined || !reader.hasEnded) throw new FormatError('a snapshot without its end', `row ${done.rows}`)
  const { head } = checks
  if (head.serial !== announced.serial || Buffer.compare(head.digest, announced.digest) !== 0) {
    throw new FormatError(`entries up to ${head.serial} with digest ${digestHex(head.digest)}, announced were ${announced.serial} and ${digestHex(announced.digest)}`, 'snapshot')
  }
  return { announced, head }
}

function checkedHead(head: SnapshotHead): SnapshotHead {
  if (head.format !== STORE_FORMAT) throw new FormatError(`a snapshot of format ${head.format}, this release reads format ${STORE_FORMAT}`, 'block 0')
  return head
}

/** Whether rows are of the kinds that belong here, in the order of their keys, and the entries a chain. */
class RowChecks {
  #head: ChainHead = EMPTY_CHAIN
  #last = ''

  get head(): ChainHead {
    return this.#head
  }

  add([key, value]: Row, { serial }: SnapshotHead): void {
    if (compareNames(key, this.#last) <= 0) throw new FormatError('a row that is not behind the one before it', this.#where())
    this.#last = key
    switch (key.charCodeAt(0)) {
      case KIND.entry:
        this.#addEntry(key, value)
        return
      case KIND.key:
      case KIND.old:
        if (value.length <= SERIAL_BYTES || stampOf(value) > serial) throw new FormatError('a value without the serial that it is of', this.#where())
        return
      case KIND.projection:
        return
      default:
        throw new FormatError('a row that does not belong into a snapshot', this.#where())
    }
  }

  #addEntry(key: string, value: Uint8Array): void {
    this.#head = extendChain(this.#head, checkEntry(value).link, value)
    if (key !== entryRow(this.#head.serial)) throw new FormatError('an entry under another serial than its own', this.#where())
  }

  #where(): string {
    return `row behind entry ${this.#head.serial}`
  }
}

/** First letters of rows. */
const KIND = { entry: 'e'.charCodeAt(0), key: 'k'.charCodeAt(0), old: 'o'.charCodeAt(0), projection: 'p'.charCodeAt(0) } as const
