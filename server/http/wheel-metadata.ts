import { readCoreMetadata } from '#server/packaging/dist-archive.js'
import type { BlobStore } from '#server/storage/blob-store.js'
import { openBytes } from '#server/storage/open-blob.js'

export interface StoredWheel {
  /** Of the blob that is the wheel. */
  readonly sha256: string
  readonly filename: string
}

/**
 * The core metadata in a stored wheel, as a blob to be sent (PEP 658). It is
 * not stored a second time: whoever can give the wheel can give this, and a
 * cache of small files keeps what is asked for often.
 */
export function metadataOfWheel(blobs: Pick<BlobStore, 'open'>, wheel: StoredWheel): Pick<BlobStore, 'open'> {
  return {
    open: async () => {
      const blob = await blobs.open(wheel.sha256)
      if (blob === undefined) return undefined
      try {
        const archived = await readCoreMetadata(blob, wheel.filename)
        if (archived.kind === 'absent') throw new Error(`the blob ${wheel.sha256} lacks the core metadata it was uploaded with`)
        return openBytes(archived.bytes)
      } finally {
        await blob.close()
      }
    },
  }
}
