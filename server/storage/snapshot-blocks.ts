import { digestHex, entryDigest } from '#log-format/chain.js'
import { DIGEST_BYTES, MAX_ENTRY_BYTES, packValue, unpackValue } from '#log-format/codec.js'
import { FormatError } from '#log-format/errors.js'
import { type Frame, FRAME_HEADER_BYTES, frameHeader } from '#log-format/framing.js'
import { NO_SERIAL, type Serial, toSerial } from '#log-format/serial.js'
import type { JsonValue } from '#log-format/values.js'
import type { Row } from './row-batches.js'

/** Media type of a snapshot. */
export const SNAPSHOT_TYPE = 'application/vnd.devpi.snapshot'

/** What a snapshot is of, said before its rows. */
export interface SnapshotHead {
  /** Layout of the rows. */
  readonly format: number
  /** Of the newest entry, and so the number of entries less one. */
  readonly serial: Serial
  /** Of the newest entry. */
  readonly digest: Uint8Array
  /** The shapes that the rows were folded with, as they are noted. */
  readonly shapes: Uint8Array
}

/** A part of a snapshot. */
export type SnapshotBlock =
  | { readonly kind: 'head'; readonly head: SnapshotHead }
  | { readonly kind: 'rows'; readonly rows: readonly Row[] }
  /** Nothing follows. */
  | { readonly kind: 'end' }

/** First byte of a block. */
const KIND = { head: 1, rows: 2, end: 3 } as const
/** In front of a row: lengths of its key and value, 32 bits each, most significant byte first. */
const ROW_HEADER_BYTES = 8

/** An entry is one row, and the largest; others share a block with what fits beside them. */
export const MAX_BLOCK_BYTES = MAX_ENTRY_BYTES + 1024 * 1024

/**
 * Spells a snapshot: frames as the changelog has them, of blocks instead of
 * entries. The digest in front of each covers it and the digest of the block
 * before, so that what arrives is what was sent, and all of it when the end does.
 */
export class SnapshotWriter {
  #digest: Uint8Array = new Uint8Array(DIGEST_BYTES)
  #rows = 0

  head({ format, serial, digest, shapes }: SnapshotHead): Uint8Array {
    return this.#small(KIND.head, [format, serial, hexOf(digest), hexOf(shapes)])
  }

  rows(rows: readonly Row[]): Uint8Array {
    this.#rows += rows.length
    let length = FRAME_HEADER_BYTES + 1
    for (const [key, value] of rows) length += ROW_HEADER_BYTES + Buffer.byteLength(key) + value.length
    const frame = Buffer.allocUnsafe(length)
    let at = frame.writeUInt8(KIND.rows, FRAME_HEADER_BYTES)
    for (const [key, value] of rows) {
      const keyBytes = frame.write(key, at + ROW_HEADER_BYTES)
      frame.writeUInt32BE(keyBytes, at)
      frame.writeUInt32BE(value.length, at + 4)
      at += ROW_HEADER_BYTES + keyBytes
      frame.set(value, at)
      at += value.length
    }
    return this.#sealed(frame)
  }

  end(): Uint8Array {
    return this.#small(KIND.end, this.#rows)
  }

  #small(kind: number, value: JsonValue): Uint8Array {
    return this.#sealed(Buffer.concat([Buffer.alloc(FRAME_HEADER_BYTES), Uint8Array.of(kind), packValue(value)]))
  }

  /** With its header in front, for which there is room. */
  #sealed(frame: Uint8Array): Uint8Array {
    const block = frame.subarray(FRAME_HEADER_BYTES)
    this.#digest = entryDigest(this.#digest, block)
    frame.set(frameHeader(block, this.#digest))
    return frame
  }
}

/** Reads the blocks of a snapshot in their order. */
export class SnapshotReader {
  #digest: Uint8Array = new Uint8Array(DIGEST_BYTES)
  #blocks = 0
  #rows = 0
  #ended = false

  get hasEnded(): boolean {
    return this.#ended
  }

  /** The block in a frame; rows share its memory. Throws a {@link FormatError} for what is damaged or out of order. */
  read({ bytes, digest }: Frame): SnapshotBlock {
    const where = `block ${this.#blocks}`
    this.#digest = entryDigest(this.#digest, bytes)
    if (Buffer.compare(this.#digest, digest) !== 0) throw new FormatError(`the digest here is ${digestHex(this.#digest)}, the one sent with it ${digestHex(digest)}`, where)
    const isFirst = this.#blocks === 0
    this.#blocks += 1
    const kind = bytes[0]
    if (this.#ended || isFirst !== (kind === KIND.head)) throw new FormatError('a block out of order', where)
    switch (kind) {
      case KIND.head:
        return { kind: 'head', head: headIn(bytes.subarray(1), where) }
      case KIND.rows: {
        const rows = rowsIn(bytes, where)
        this.#rows += rows.length
        return { kind: 'rows', rows }
      }
      case KIND.end:
        if (unpackValue(bytes.subarray(1)) !== this.#rows) throw new FormatError(`not the number of rows that came, ${this.#rows}`, where)
        this.#ended = true
        return { kind: 'end' }
      default:
        throw new FormatError('a block of an unknown kind', where)
    }
  }
}

function headIn(bytes: Uint8Array, where: string): SnapshotHead {
  const found = unpackValue(bytes)
  const fields: readonly unknown[] = Array.isArray(found) ? found : []
  const [format, serial, digest, shapes] = fields
  const isHead = typeof format === 'number' && isSerial(serial) && isHex(digest, DIGEST_BYTES) && isHex(shapes)
  if (!isHead) throw new FormatError('no head of a snapshot', where)
  return { format, serial: toSerial(serial), digest: Buffer.from(digest, 'hex'), shapes: Buffer.from(shapes, 'hex') }
}

function rowsIn(bytes: Uint8Array, where: string): readonly Row[] {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const rows: Row[] = []
  let at = 1
  while (at < view.length) {
    const valueAt = at + ROW_HEADER_BYTES <= view.length ? at + ROW_HEADER_BYTES + view.readUInt32BE(at) : Infinity
    const end = valueAt <= view.length ? valueAt + view.readUInt32BE(at + 4) : Infinity
    if (end > view.length) throw new FormatError('a row that goes beyond its block', where)
    rows.push([view.toString('utf8', at + ROW_HEADER_BYTES, valueAt), view.subarray(valueAt, end)])
    at = end
  }
  return rows
}

function isSerial(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= NO_SERIAL
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function isHex(value: unknown, bytes?: number): value is string {
  return typeof value === 'string' && /^([0-9a-f]{2})*$/.test(value) && (bytes === undefined || value.length === 2 * bytes)
}
