import { packValue, unpackValue } from '#log-format/codec.js'
import { keys } from '#log-format/keys.js'
import type { Projection } from '#server/storage/projection.js'
import type { Storage } from '#server/storage/storage.js'
import { textFields } from './text-fields.js'

const NAME = 'blob-references'
const NAMED = packValue(null)

const digest = textFields('sha256')

/**
 * Blob → links that ever named it: null for one that still does, else when it
 * ended, in ms since the epoch. Rows are never deleted: an index as it was at
 * a past serial still serves its files, and a removal can be undone, for as
 * long as the blobs are kept.
 */
export const blobReferences: Projection = {
  name: NAME,
  shape: 3,
  fold(change, rows) {
    if (change.family !== keys.link.family) return
    const [before] = change.read('before', digest) ?? []
    const [after] = change.read('after', digest) ?? []
    const path = change.segments.join('/')
    if (before !== undefined && before !== after) rows.put(`${before}\0${path}`, packValue(change.time))
    if (after !== undefined) rows.put(`${after}\0${path}`, NAMED)
  },
}

/** Whether any entry of the log named this blob. */
export async function isBlobNamed(storage: Storage, sha256: string): Promise<boolean> {
  return (await lastNamed(storage, sha256)) !== 'never'
}

/** Whether a link names this blob, or one did at `since` or later, in ms since the epoch. */
export async function isBlobKept(storage: Storage, sha256: string, since: number): Promise<boolean> {
  const last = await lastNamed(storage, sha256)
  return last === 'now' || (last !== 'never' && last >= since)
}

/** When the last link that named this blob went, in ms since the epoch. */
export async function lastNamed(storage: Storage, sha256: string): Promise<number | 'now' | 'never'> {
  let last: number | 'never' = 'never'
  for await (const [, bytes] of storage.projectionRows(NAME, `${sha256}\0`)) {
    const ended = unpackValue(bytes)
    if (typeof ended !== 'number') return 'now'
    last = last === 'never' ? ended : Math.max(last, ended)
  }
  return last
}
