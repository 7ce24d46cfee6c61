import { ENTRY_VERSION, packValue, readEntry, unpackValue } from './codec.js'
import type { Entry } from './entry.js'
import { FormatError } from './errors.js'
import { checkMutation, type MutationNames } from './mutation.js'
import { MsgpackCursor } from './msgpack-cursor.js'
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
 * Of bytes that were not checked it makes nonsense or throws a `FormatError`.
 */
export function sliceEntry(bytes: Uint8Array): EntrySlices {
  if (bytes[0] !== ENTRY_VERSION) return slicesOfOlder(bytes)
  const cursor = new MsgpackCursor(bytes, 1)
  cursor.arrayLength()
  const serial = toSerial(cursor.number())
  const time = cursor.number()
  for (let field = 2; field < MUTATION_FIELD; field += 1) cursor.skip()
  const mutationBytes = cursor.skip()
  return { serial, time, length: bytes.length, mutationBytes, changes: sliceChanges(cursor) }
}

/** Finds the changes from where they begin in an entry. */
export function sliceChanges(cursor: MsgpackCursor): ChangeSlice[] {
  const count = cursor.arrayLength()
  const changes: ChangeSlice[] = []
  for (let change = 0; change < count; change += 1) {
    const items = cursor.arrayLength()
    if (items !== 1 && items !== 2) throw new FormatError('a change is not [path] or [path, value]', `byte ${cursor.at}`)
    const path = cursor.text()
    if (items === 1) changes.push({ path, valueBytes: undefined, offset: undefined })
    else changes.push({ path, offset: cursor.at, valueBytes: cursor.skip() })
  }
  return changes
}

/** Reads the head of an entry that was checked before; however much the entry changed, it costs the same. */
export function readEntryHead(bytes: Uint8Array): EntryHead {
  if (bytes[0] !== ENTRY_VERSION) return readEntry(bytes)
  const cursor = new MsgpackCursor(bytes, 1)
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
  const cursor = new MsgpackCursor(mutationBytes)
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
