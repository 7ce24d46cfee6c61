import { createHash } from 'node:crypto'
import type { BlobStore } from './blob-store.js'
import { readPieces } from './open-blob.js'

/** Reads a blob again and compares it with its name. */
export async function verifyBlob(blobs: Pick<BlobStore, 'open'>, sha256: string): Promise<'ok' | 'missing' | 'damaged'> {
  const blob = await blobs.open(sha256)
  if (blob === undefined) return 'missing'
  try {
    const hash = createHash('sha256')
    await readPieces(blob, (piece) => hash.update(piece))
    return hash.digest('hex') === sha256 ? 'ok' : 'damaged'
  } finally {
    await blob.close()
  }
}
