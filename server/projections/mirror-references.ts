import { packValue } from '#log-format/codec.js'
import { keys } from '#log-format/keys.js'
import type { Projection } from '#server/storage/projection.js'
import type { Storage } from '#server/storage/storage.js'
import { textFields } from './text-fields.js'

const NAME = 'mirror-references'
const NAMED = packValue(null)

const digests = textFields('sha256', 'coreMetadata')

/** Blob → files of mirrors that are this content, or whose metadata is, whether or not it lies here. */
export const mirrorReferences: Projection = {
  name: NAME,
  shape: 1,
  fold(change, rows) {
    if (change.family !== keys.mirrorFile.family) return
    const path = change.segments.join('/')
    for (const sha256 of change.read('before', digests) ?? []) if (sha256 !== undefined) rows.delete(`${sha256}\0${path}`)
    for (const sha256 of change.read('after', digests) ?? []) if (sha256 !== undefined) rows.put(`${sha256}\0${path}`, NAMED)
  },
}

/** Whether a mirror has a file that is this content. */
export async function isBlobMirrored(storage: Storage, sha256: string): Promise<boolean> {
  for await (const _ of storage.projectionRows(NAME, `${sha256}\0`, { limit: 1 })) return true
  return false
}
