import { unpackValue } from '#log-format/codec.js'
import { sliceEntry } from '#log-format/entry-slices.js'
import { keys, locatePath } from '#log-format/keys.js'
import type { LinkValue } from '#log-format/values.js'
import { isSha256 } from '#server/storage/content-hash.js'

/** A content as an entry names it. */
export interface NamedBlob {
  readonly sha256: string
  readonly size: number
  readonly user: string
  readonly index: string
  /** Public path of the file. */
  readonly path: string
}

/**
 * The contents that a stored entry names. Those of mirrored files are not
 * among them: they are a cache, and come when somebody asks for one.
 */
export function namedBlobs(entry: Uint8Array): NamedBlob[] {
  const found: NamedBlob[] = []
  for (const { path, valueBytes } of sliceEntry(entry).changes) {
    if (valueBytes === undefined || !path.includes('/+link/')) continue
    const { family, segments } = locatePath(path)
    if (family !== keys.link.family) continue
    const { user, index, basename } = keys.link.params(segments)
    const { sha256, size, dir } = unpackValue(valueBytes) as Partial<LinkValue>
    if (typeof sha256 !== 'string' || !isSha256(sha256) || typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) continue // of a newer release
    found.push({ sha256, size, user, index, path: `${user}/${index}/+f/${dir ?? ''}/${basename}` })
  }
  return found
}
