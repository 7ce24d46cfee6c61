import { FormatError } from './errors.js'

const NOT_ASCII = /[^\x00-\x7f]/

/**
 * Steps through msgpack that was checked before (`scanMsgpack`) and builds
 * only what is asked for. Of bytes that were not checked it makes nonsense or
 * throws a {@link FormatError}.
 */
export class MsgpackCursor {
  readonly #bytes: Buffer
  /** The bytes as one string of as many characters, where texts are to be parts of it. */
  readonly #whole: string | undefined
  #at: number

  /**
   * With `sharesText`, all bytes are made a string once, and texts are parts
   * of it: many times faster for a short value of which most is wanted, but
   * any text then keeps all of them in memory.
   */
  constructor(bytes: Uint8Array, at = 0, { sharesText = false } = {}) {
    this.#at = at
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#whole = sharesText ? this.#bytes.toString('latin1') : undefined
  }

  /** Offset of what comes next. */
  get at(): number {
    return this.#at
  }

  arrayLength(): number {
    const tag = this.#tag()
    if (tag >= 0x90 && tag <= 0x9f) return tag & 0x0f
    if (tag === 0xdc) return this.#length(2)
    if (tag === 0xdd) return this.#length(4)
    throw this.#unexpected('an array')
  }

  mapLength(): number {
    const tag = this.#tag()
    if (tag >= 0x80 && tag <= 0x8f) return tag & 0x0f
    if (tag === 0xde) return this.#length(2)
    if (tag === 0xdf) return this.#length(4)
    throw this.#unexpected('a map')
  }

  /** Whether a map is what comes next. */
  isAtMap(): boolean {
    const tag = this.#bytes[this.#at] ?? 0
    return (tag >= 0x80 && tag <= 0x8f) || tag === 0xde || tag === 0xdf
  }

  /** Whether text is what comes next. */
  isAtText(): boolean {
    const tag = this.#bytes[this.#at] ?? 0
    return (tag >= 0xa0 && tag <= 0xbf) || (tag >= 0xd9 && tag <= 0xdb)
  }

  number(): number {
    const tag = this.#tag()
    if (tag <= 0x7f) return tag
    if (tag >= 0xe0) return tag - 0x100
    if (tag === 0xcc) return this.#length(1)
    if (tag === 0xcd) return this.#length(2)
    if (tag === 0xce) return this.#length(4)
    if (tag >= 0xd0 && tag <= 0xd2) return this.#negative(tag === 0xd0 ? 1 : tag === 0xd1 ? 2 : 4)
    if (tag !== 0xcb) throw this.#unexpected('a number')
    this.#at += 8
    return this.#bytes.readDoubleBE(this.#at - 8)
  }

  text(): string {
    const tag = this.#tag()
    const length = this.#textLength(tag)
    if (length === undefined) throw this.#unexpected('text')
    const start = this.#at
    this.#at += length
    const shared = this.#whole?.slice(start, this.#at)
    return shared === undefined || NOT_ASCII.test(shared) ? this.#bytes.toString('utf8', start, this.#at) : shared
  }

  /** The key of a map as long as it is ASCII; another is not told from other keys that are not. */
  key(): string {
    if (this.#whole === undefined) return this.text()
    const length = this.#textLength(this.#tag())
    if (length === undefined) throw this.#unexpected('text')
    this.#at += length
    return this.#whole.slice(this.#at - length, this.#at)
  }

  /** Steps over one value, however deep, and returns its bytes. */
  skip(): Uint8Array {
    const start = this.#at
    for (let left = 1; left > 0; left -= 1) left += this.#stepOver()
    if (this.#at > this.#bytes.length) throw this.#unexpected('a whole value')
    return this.#bytes.subarray(start, this.#at)
  }

  /** Steps over a scalar or the head of a container; returns how many values are inside. */
  #stepOver(): number {
    const tag = this.#tag()
    if (tag <= 0x7f || tag >= 0xe0) return 0
    if (tag <= 0x8f) return (tag & 0x0f) * 2
    if (tag <= 0x9f) return tag & 0x0f
    const text = this.#textLength(tag)
    if (text !== undefined) return this.#leave(text)
    switch (tag) {
      case 0xc0:
      case 0xc2:
      case 0xc3:
        return 0
      case 0xc4:
        return this.#leave(this.#length(1))
      case 0xc5:
        return this.#leave(this.#length(2))
      case 0xc6:
        return this.#leave(this.#length(4))
      case 0xcc:
      case 0xd0:
        return this.#leave(1)
      case 0xcd:
      case 0xd1:
        return this.#leave(2)
      case 0xce:
      case 0xd2:
        return this.#leave(4)
      case 0xcb:
        return this.#leave(8)
      case 0xdc:
        return this.#length(2)
      case 0xdd:
        return this.#length(4)
      case 0xde:
        return this.#length(2) * 2
      case 0xdf:
        return this.#length(4) * 2
      default:
        throw this.#unexpected('a value of the log')
    }
  }

  /** Steps over bytes that hold no further value: 0 of them. */
  #leave(length: number): 0 {
    this.#at += length
    return 0
  }

  #textLength(tag: number): number | undefined {
    if (tag >= 0xa0 && tag <= 0xbf) return tag & 0x1f
    if (tag === 0xd9) return this.#length(1)
    if (tag === 0xda) return this.#length(2)
    if (tag === 0xdb) return this.#length(4)
    return undefined
  }

  #tag(): number {
    const tag = this.#bytes[this.#at]
    if (tag === undefined) throw this.#unexpected('more')
    this.#at += 1
    return tag
  }

  #length(width: 1 | 2 | 4): number {
    this.#at += width
    if (this.#at > this.#bytes.length) throw this.#unexpected('a length')
    return this.#bytes.readUIntBE(this.#at - width, width)
  }

  #negative(width: 1 | 2 | 4): number {
    this.#length(width)
    return this.#bytes.readIntBE(this.#at - width, width)
  }

  #unexpected(wanted: string): FormatError {
    return new FormatError(`${wanted} was expected`, `byte ${this.#at}`)
  }
}
