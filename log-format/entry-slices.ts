import { ENTRY_VERSION, packValue, readEntry, unpackValue } from './codec.js'
import type { Entry } from './entry.js'
import { FormatError } from './errors.js'
import { checkMutation, type MutationNames } from './mutation.js'
import { type Serial, toSerial } from './serial.js'

/** One change with the bytes of its value as they stand in the entry; undefined for a deletion. */
export interface ChangeSlice {
  readonly path: string
  readonly valueBytes: Uint8Array | undefined
  /** Where the value stands in the entry; undefined also for an older entry, which was lifted. */
  readonly offset: number | undefined
}

/** What a fold needs of an entry, without building the values. */
export interface EntrySlices {
  readonly serial: Serial
  readonly time: number
  /** Of the entry, in bytes. */
  readonly length: number
  readonly mutationBytes: Uint8Array
  readonly changes: readonly ChangeSlice[]
}

/** What an entry says happened, without what it changed. */
export type EntryHead = Pick<Entry, 'serial' | 'time' | 'actor' | 'mutation'>

const ACTOR_FIELD = 4
const MUTATION_FIELD = 7

/**
 * Finds the changes in an entry that was checked before (`decodeEntry`), many
 * times faster than reading it whole. The slices share the entry's memory.
 * Of bytes that were not checked it makes nonsense or throws a {@link FormatError}.
 */
export function sliceEntry(bytes: Uint8Array): EntrySlices {
  if (bytes[0] !== ENTRY_VERSION) return slicesOfOlder(bytes)
  const cursor = new Cursor(bytes)
  cursor.arrayLength()
  const serial = toSerial(cursor.number())
  const time = cursor.number()
  for (let field = 2; field < MUTATION_FIELD; field += 1) cursor.skip()
  const mutationBytes = cursor.skip()
  const count = cursor.arrayLength()
  const changes: ChangeSlice[] = []
  for (let change = 0; change < count; change += 1) {
    const items = cursor.arrayLength()
    const path = cursor.text()
    if (items !== 2) changes.push({ path, valueBytes: undefined, offset: undefined })
    else changes.push({ path, offset: cursor.at, valueBytes: cursor.skip() })
  }
  return { serial, time, length: bytes.length, mutationBytes, changes }
}

/** Reads the head of an entry that was checked before; however much the entry changed, it costs the same. */
export function readEntryHead(bytes: Uint8Array): EntryHead {
  if (bytes[0] !== ENTRY_VERSION) return readEntry(bytes)
  const cursor = new Cursor(bytes)
  cursor.arrayLength()
  const serial = toSerial(cursor.number())
  const time = cursor.number()
  for (let field = 2; field < ACTOR_FIELD; field += 1) cursor.skip()
  const actor = cursor.text()
  for (let field = ACTOR_FIELD + 1; field < MUTATION_FIELD; field += 1) cursor.skip()
  return { serial, time, actor, mutation: checkMutation(unpackValue(cursor.skip())) }
}

/** The names in `mutationBytes`, as `namesInMutation` has them of the decoded one. */
export function namesInSlice(mutationBytes: Uint8Array): MutationNames {
  const cursor = new Cursor(mutationBytes, 0)
  const names: { -readonly [N in keyof MutationNames]: string } = {}
  for (let left = cursor.mapLength(); left > 0; left -= 1) {
    const field = cursor.text()
    if (field !== 'user' && field !== 'index' && field !== 'project') cursor.skip()
    else if (cursor.isAtText()) names[field] = cursor.text()
    else cursor.skip()
  }
  return names
}

/** Entries of older versions are lifted as a whole. */
function slicesOfOlder(bytes: Uint8Array): EntrySlices {
  const { serial, time, mutation, changes } = readEntry(bytes)
  return {
    serial,
    time,
    length: bytes.length,
    mutationBytes: packValue(mutation),
    changes: changes.map(({ path, value }) => ({ path, valueBytes: value === undefined ? undefined : packValue(value), offset: undefined })),
  }
}

class Cursor {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Uint8Array, at = 1) {
    this.#at = at
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
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

  /** Whether text is what comes next. */
  isAtText(): boolean {
    const tag = this.#bytes[this.#at] ?? 0
    return (tag >= 0xa0 && tag <= 0xbf) || (tag >= 0xd9 && tag <= 0xdb)
  }

  number(): number {
    const tag = this.#tag()
    if (tag <= 0x7f) return tag
    if (tag === 0xcc) return this.#length(1)
    if (tag === 0xcd) return this.#length(2)
    if (tag === 0xce) return this.#length(4)
    if (tag !== 0xcb) throw this.#unexpected('a number')
    this.#at += 8
    return this.#bytes.readDoubleBE(this.#at - 8)
  }

  text(): string {
    const tag = this.#tag()
    const length = this.#textLength(tag)
    if (length === undefined) throw this.#unexpected('text')
    this.#at += length
    return this.#bytes.toString('utf8', this.#at - length, this.#at)
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

  #unexpected(wanted: string): FormatError {
    return new FormatError(`${wanted} was expected`, `byte ${this.#at}`)
  }
}
