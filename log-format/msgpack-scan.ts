import { isUtf8 } from 'node:buffer'
import { FormatError } from './errors.js'

/** Nesting allowed in an entry: the entry itself, its changes, a value, and what is inside `custom_data`. */
export const MAX_DEPTH = 64

/** Up to so many bytes are looked at one by one; beyond, the call that looks at all of them costs less. */
const SHORT_TEXT_BYTES = 64
/** Up to so many keys of a map are compared with each other. */
const FEW_KEYS = 32
const PROTO = '__proto__'

/**
 * Walks over one msgpack value without building it and throws a
 * {@link FormatError} naming the byte offset of anything that the log does
 * not use: extension types, maps with keys that are not text or stand twice,
 * broken UTF-8, too deep nesting, lengths beyond the end, bytes left over.
 * What passes is safe to hand to a general decoder.
 */
export function scanMsgpack(bytes: Uint8Array, start: number): void {
  const scan = new Scan(bytes, start)
  scan.value(0)
  if (scan.at !== bytes.length) throw new FormatError(`${bytes.length - scan.at} bytes left over`, place(scan.at))
}

function place(offset: number): string {
  return `byte ${offset}`
}

class Scan {
  at: number
  readonly #bytes: Buffer
  readonly #view: DataView

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.at = start
  }

  value(depth: number): void {
    if (depth > MAX_DEPTH) throw new FormatError(`nested deeper than ${MAX_DEPTH}`, place(this.at))
    const start = this.at
    const tag = this.#byte()
    if (tag <= 0x7f || tag >= 0xe0) return // small integers
    if (tag <= 0x8f) return this.#map(tag & 0x0f, depth)
    if (tag <= 0x9f) return this.#array(tag & 0x0f, depth)
    if (tag <= 0xbf) return this.#text(tag & 0x1f)
    switch (tag) {
      case 0xc0: // nil
      case 0xc2: // false
      case 0xc3: // true
        return
      case 0xc4:
        return this.#skip(this.#length(1))
      case 0xc5:
        return this.#skip(this.#length(2))
      case 0xc6:
        return this.#skip(this.#length(4))
      case 0xcb:
        return this.#float()
      case 0xcc:
      case 0xd0:
        return this.#skip(1)
      case 0xcd:
      case 0xd1:
        return this.#skip(2)
      case 0xce:
      case 0xd2:
        return this.#skip(4)
      case 0xd9:
        return this.#text(this.#length(1))
      case 0xda:
        return this.#text(this.#length(2))
      case 0xdb:
        return this.#text(this.#length(4))
      case 0xdc:
        return this.#array(this.#length(2), depth)
      case 0xdd:
        return this.#array(this.#length(4), depth)
      case 0xde:
        return this.#map(this.#length(2), depth)
      case 0xdf:
        return this.#map(this.#length(4), depth)
      default:
        throw new FormatError(`tag 0x${tag.toString(16)} is not used in the log`, place(start))
    }
  }

  #byte(): number {
    const value = this.#bytes[this.at]
    if (value === undefined) throw new FormatError('truncated', place(this.at))
    this.at += 1
    return value
  }

  #length(width: 1 | 2 | 4): number {
    const start = this.at
    this.#skip(width)
    if (width === 1) return this.#view.getUint8(start)
    return width === 2 ? this.#view.getUint16(start) : this.#view.getUint32(start)
  }

  #skip(length: number): void {
    if (length > this.#bytes.length - this.at) throw new FormatError('truncated', place(this.at))
    this.at += length
  }

  #float(): void {
    const start = this.at
    this.#skip(8)
    if (!Number.isFinite(this.#view.getFloat64(start))) throw new FormatError('not a finite number', place(start))
  }

  #text(length: number): void {
    const start = this.at
    this.#skip(length)
    if (length <= SHORT_TEXT_BYTES && this.#isAscii(start)) return
    if (!isUtf8(this.#bytes.subarray(start, this.at))) throw new FormatError('text is not UTF-8', place(start))
  }

  /** Whether all from there to here is. */
  #isAscii(start: number): boolean {
    for (let at = start; at < this.at; at += 1) {
      if ((this.#bytes[at] ?? 0) > 0x7f) return false
    }
    return true
  }

  #array(length: number, depth: number): void {
    if (length > this.#bytes.length - this.at) throw new FormatError('truncated', place(this.at))
    for (let item = 0; item < length; item += 1) this.value(depth + 1)
  }

  #map(length: number, depth: number): void {
    if (length * 2 > this.#bytes.length - this.at) throw new FormatError('truncated', place(this.at))
    const seen = length <= FEW_KEYS ? new FewKeys(this.#bytes) : new ManyKeys(this.#bytes)
    for (let item = 0; item < length; item += 1) {
      const start = this.at
      const textStart = this.#key()
      if (this.at - textStart === PROTO.length && this.#bytes.toString('latin1', textStart, this.at) === PROTO) {
        throw new FormatError('a map has the key __proto__', place(start))
      }
      if (!seen.add(textStart, this.at)) {
        throw new FormatError(`a map has the key ${JSON.stringify(this.#bytes.toString('utf8', textStart, this.at))} twice`, place(start))
      }
      this.value(depth + 1)
    }
  }

  /** Where the text of the key begins; it ends here. */
  #key(): number {
    const start = this.at
    const length = this.#keyLength(this.#byte())
    if (length === undefined) throw new FormatError('a key of a map is not text', place(start))
    const textStart = this.at
    this.#text(length)
    return textStart
  }

  #keyLength(tag: number): number | undefined {
    if (tag >= 0xa0 && tag <= 0xbf) return tag & 0x1f
    if (tag === 0xd9) return this.#length(1)
    return tag === 0xda ? this.#length(2) : undefined
  }
}

/** Keys of one map, by where they are. */
interface Keys {
  /** Whether the key is a new one. */
  add(start: number, end: number): boolean
}

/** Compares each with all before it: no string is made. */
class FewKeys implements Keys {
  readonly #bytes: Buffer
  readonly #places: number[] = []

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  add(start: number, end: number): boolean {
    const places = this.#places
    for (let at = 0; at < places.length; at += 2) {
      if ((places[at + 1] ?? 0) - (places[at] ?? 0) === end - start && this.#isSame(places[at] ?? 0, start, end)) return false
    }
    places.push(start, end)
    return true
  }

  #isSame(other: number, start: number, end: number): boolean {
    for (let at = start; at < end; at += 1) {
      if (this.#bytes[at] !== this.#bytes[other + at - start]) return false
    }
    return true
  }
}

class ManyKeys implements Keys {
  readonly #bytes: Buffer
  readonly #texts = new Set<string>()

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  add(start: number, end: number): boolean {
    const { size } = this.#texts
    return this.#texts.add(this.#bytes.toString('latin1', start, end)).size > size
  }
}
