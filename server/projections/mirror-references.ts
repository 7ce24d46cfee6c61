import { packValue } from '#log-format/codec.js'
import { keys } from '#log-format/keys.js'
import type { MirrorFileValue } from '#log-format/values.js'
import type { Projection } from '#server/storage/projection.js'
import type { Storage } from '#server/storage/storage.js'

const NAME = 'mirror-references'

/** Blob → files of mirrors that are this content, or whose metadata is, whether or not it lies here. */
export const mirrorReferences: Projection = {
  name: NAME,
  shape: 1,
  fold(change, rows) {
    const file = keys.mirrorFile.match(change)
    if (file === undefined) return
    const path = change.segments.join('/')
    for (const sha256 of digestsOf(file.before)) rows.delete(`${sha256}\0${path}`)
    for (const sha256 of digestsOf(file.after)) rows.put(`${sha256}\0${path}`, packValue(null))
  },
}

/** Whether a mirror has a file that is this content. */
export async function isBlobMirrored(storage: Storage, sha256: string): Promise<boolean> {
  for await (const _ of storage.projectionRows(NAME, `${sha256}\0`, { limit: 1 })) return true
  return false
}

function digestsOf(file: MirrorFileValue | undefined): string[] {
  return [file?.sha256, file?.coreMetadata].filter((digest) => digest !== undefined)
}
