import { DIGEST_BYTES, MAX_ENTRY_BYTES } from './codec.js'
import { FormatError } from './errors.js'
import { type Serial, toSerial } from './serial.js'

/** Media type of a stream of frames. */
export const CHANGELOG_TYPE = 'application/vnd.devpi.changelog'

/** Bytes in front of an entry on the wire: its length as 32 bits, most significant first, then its digest. */
export const FRAME_HEADER_BYTES = 4 + DIGEST_BYTES

export interface Frame {
  readonly digest: Uint8Array
  /** The entry's bytes, unchanged. */
  readonly bytes: Uint8Array
}

/** What a stream says between its entries: that it goes on, and how far the log is that it comes from. */
export interface Heartbeat {
  /** Serial of the sender's newest entry, -1 for none. */
  readonly head: Serial
  /** The sender's clock, ms since the epoch. */
  readonly time: number
}

/** Stands where a frame would: a length of 0, the number of entries and the time as 64 bits each, and zeros where the digest ends. */
export function heartbeatFrame({ head, time }: Heartbeat): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(4, BigInt(head + 1))
  view.setBigUint64(12, BigInt(time))
  return bytes
}

export function frameHeader(bytes: Uint8Array, digest: Uint8Array): Uint8Array {
  const header = new Uint8Array(FRAME_HEADER_BYTES)
  new DataView(header.buffer).setUint32(0, bytes.length)
  header.set(digest, 4)
  return header
}

/**
 * Takes frames out of a stream that arrives in pieces. Holds at most one
 * unfinished frame; a length beyond the largest entry is rejected before
 * anything is kept for it. Frames share the memory of the pieces, which
 * whoever pushes them leaves as they are.
 */
export class FrameReader {
  #pieces: Buffer[] = []
  /** Where in the first piece the next frame begins. */
  #at = 0
  #held = 0
  #offset = 0
  #heartbeat: Heartbeat | undefined
  readonly #mostBytes: number

  /** `mostBytes`: of what is in a frame, where that is no entry. */
  constructor(mostBytes = MAX_ENTRY_BYTES) {
    this.#mostBytes = mostBytes
  }

  /** Complete frames so far, in order. Throws a {@link FormatError} for a length that cannot be. */
  push(piece: Uint8Array): Frame[] {
    if (piece.length > 0) this.#pieces.push(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength))
    this.#held += piece.length
    const frames: Frame[] = []
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) frames.push(frame)
    return frames
  }

  /** The newest heartbeat so far. */
  get heartbeat(): Heartbeat | undefined {
    return this.#heartbeat
  }

  /** Bytes of an unfinished frame; a stream that ends with any was cut off. */
  get pending(): number {
    return this.#held
  }

  #next(): Frame | undefined {
    while (this.#held >= FRAME_HEADER_BYTES) {
      const first = this.#holding(FRAME_HEADER_BYTES)
      const length = first.readUInt32BE(this.#at)
      if (length === 0) {
        this.#heartbeat = heartbeatIn(first.subarray(this.#at, this.#at + FRAME_HEADER_BYTES), this.#offset)
        this.#drop(FRAME_HEADER_BYTES)
        continue
      }
      if (length < 2 || length > this.#mostBytes) {
        throw new FormatError(`a frame of ${length} bytes`, `stream offset ${this.#offset}`)
      }
      const total = FRAME_HEADER_BYTES + length
      if (this.#held < total) return undefined
      const piece = this.#holding(total)
      const bytesAt = this.#at + FRAME_HEADER_BYTES
      const frame = { digest: piece.subarray(bytesAt - DIGEST_BYTES, bytesAt), bytes: piece.subarray(bytesAt, bytesAt + length) }
      this.#drop(total)
      return frame
    }
    return undefined
  }

  /** The first piece, with so many bytes of what comes next; joins the pieces only when the first does not hold enough. */
  #holding(length: number): Buffer {
    const first = this.#pieces[0] ?? Buffer.alloc(0)
    if (first.length - this.#at >= length) return first
    this.#pieces[0] = first.subarray(this.#at)
    const joined = Buffer.concat(this.#pieces)
    this.#pieces = [joined]
    this.#at = 0
    return joined
  }

  /** Of the first piece. */
  #drop(length: number): void {
    this.#at += length
    this.#held -= length
    this.#offset += length
    if (this.#at < (this.#pieces[0]?.length ?? 0)) return
    this.#pieces.shift()
    this.#at = 0
  }
}

function heartbeatIn(header: Uint8Array, offset: number): Heartbeat {
  const view = new DataView(header.buffer, header.byteOffset, FRAME_HEADER_BYTES)
  const entries = Number(view.getBigUint64(4))
  const time = Number(view.getBigUint64(12))
  const isHeartbeat = Number.isSafeInteger(entries) && Number.isSafeInteger(time) && header.subarray(20, FRAME_HEADER_BYTES).every((byte) => byte === 0)
  if (!isHeartbeat) throw new FormatError('a heartbeat that is none', `stream offset ${offset}`)
  return { head: toSerial(entries - 1), time }
}
