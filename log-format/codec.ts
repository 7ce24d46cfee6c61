import { Packr } from 'msgpackr'
import type { Change } from './change.js'
import { type Entry, type Via, VIAS } from './entry.js'
import { FormatError } from './errors.js'
import { scanMsgpack } from './msgpack-scan.js'
import { checkMutation } from './mutation.js'
import { type Serial, toSerial } from './serial.js'
import { liftFields } from './upgrade.js'
import type { JsonValue } from './values.js'

/** First byte of an entry written today. */
export const ENTRY_VERSION = 1

/** No entry is larger; a writer refuses, a reader rejects. */
export const MAX_ENTRY_BYTES = 128 * 1024 * 1024

/** Bytes of a digest. */
export const DIGEST_BYTES = 32

// No shared structures and no records: the bytes of an entry need nothing outside themselves.
const packr = new Packr({ useRecords: false, variableMapSize: true })

/**
 * The canonical bytes of an entry: a version byte, then one msgpack array
 * `[serial, time, parent, epoch, actor, via, request, mutation, changes]`.
 * They are made once; every node keeps and passes on these very bytes.
 */
export function encodeEntry(entry: Entry): Uint8Array {
  const fields = packr.pack([
    ...headFields(entry),
    entry.changes.map((change) => (change.value === undefined ? [change.path] : [change.path, change.value])),
  ])
  const bytes = new Uint8Array(fields.length + 1)
  bytes[0] = ENTRY_VERSION
  bytes.set(fields, 1)
  return bytes
}

function headFields(entry: Omit<Entry, 'changes'>): readonly unknown[] {
  return [entry.serial, entry.time, entry.parent, entry.epoch, entry.actor, VIAS.indexOf(entry.via), entry.request, entry.mutation]
}

/** The fields of an entry up to its changes, as its bytes begin behind the version. */
export function packHead(entry: Omit<Entry, 'changes'>): Uint8Array {
  return packr.pack([...headFields(entry), []]).subarray(0, -1)
}

/**
 * Reads an entry from bytes of any origin. Throws a {@link FormatError} that
 * says where damaged, truncated, oversized, too deep or unknown bytes are.
 */
export function decodeEntry(bytes: Uint8Array): Entry {
  if (bytes.length > MAX_ENTRY_BYTES) throw new FormatError(`an entry of ${bytes.length} bytes is too large`, 'byte 0')
  if (bytes.length < 2) throw new FormatError('truncated', `byte ${bytes.length}`)
  scanMsgpack(bytes, 1)
  return readEntry(bytes)
}

/** Reads an entry that this node has checked before it stored it; skips the scan of every byte. */
export function readEntry(bytes: Uint8Array): Entry {
  const fields: JsonValue | Uint8Array = packr.unpack(bytes.subarray(1)) as JsonValue | Uint8Array
  return entryOf(liftFields(bytes[0] ?? 0, fields))
}

/** Value bytes as they stand in rows beside the log: the same dialect as in entries. */
export function packValue(value: unknown): Uint8Array {
  return packr.pack(value)
}

export function unpackValue(bytes: Uint8Array): JsonValue {
  return packr.unpack(bytes) as JsonValue
}

function entryOf(fields: readonly unknown[]): Entry {
  const [serial, time, parent, epoch, actor, via, request, mutation, changes] = fields
  if (fields.length !== 9) throw new FormatError(`an entry has 9 fields, not ${fields.length}`, 'entry')
  return {
    serial: serialOf(serial),
    time: wholeNumber(time, 'time'),
    parent: digestOf(parent),
    epoch: wholeNumber(epoch, 'epoch'),
    actor: text(actor, 'actor'),
    via: viaOf(via),
    request: text(request, 'request'),
    mutation: checkMutation(mutation as JsonValue),
    changes: changesOf(changes),
  }
}

function serialOf(value: unknown): Serial {
  return toSerial(wholeNumber(value, 'serial'))
}

function wholeNumber(value: unknown, field: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new FormatError(`${field} is not a whole number from 0 on`, `entry.${field}`)
  }
  return value
}

function text(value: unknown, field: string): string {
  if (typeof value !== 'string') throw new FormatError(`${field} is not text`, `entry.${field}`)
  return value
}

function digestOf(value: unknown): Uint8Array {
  if (!ArrayBuffer.isView(value) || value.byteLength !== DIGEST_BYTES) {
    throw new FormatError(`parent is not a digest of ${DIGEST_BYTES} bytes`, 'entry.parent')
  }
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
}

function viaOf(value: unknown): Via {
  const via = typeof value === 'number' ? VIAS[value] : undefined
  if (via === undefined) throw new FormatError('via is none of the known ways', 'entry.via')
  return via
}

function changesOf(value: unknown): Change[] {
  if (!Array.isArray(value)) throw new FormatError('changes are not a list', 'entry.changes')
  return value.map((item: unknown, at) => {
    if (!Array.isArray(item) || item.length < 1 || item.length > 2 || typeof item[0] !== 'string') {
      throw new FormatError('a change is not [path] or [path, value]', `entry.changes.${at}`)
    }
    if (item[0] === '' || item[0].includes('\0')) throw new FormatError('a path is empty or has a NUL', `entry.changes.${at}`)
    return { path: item[0], value: item.length === 2 ? (item[1] as JsonValue) : undefined }
  })
}
