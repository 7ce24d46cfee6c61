import { packValue } from '#log-format/codec.js'
import { keys } from '#log-format/keys.js'
import type { Projection } from '#server/storage/projection.js'
import type { Storage } from '#server/storage/storage.js'

const NAME = 'blob-references'

/**
 * Blob → public paths that ever named it, with the first serial after which
 * they did. Rows are never deleted: an index as it was at a past serial still
 * serves its files, so a blob is needed as long as the log names it.
 */
export const blobReferences: Projection = {
  name: NAME,
  shape: 2,
  fold(change, rows) {
    const link = keys.link.match(change)?.after
    if (link === undefined) return
    rows.put(`${link.sha256}\0${change.segments.join('/')}`, packValue(change.serial))
  },
}

/** Whether any entry of the log named this blob. */
export async function isBlobNamed(storage: Storage, sha256: string): Promise<boolean> {
  for await (const _ of storage.projectionRows(NAME, `${sha256}\0`)) return true
  return false
}
