import { createHash } from 'node:crypto'
import type { BlobStore } from './blob-store.js'

const READ_BYTES = 256 * 1024

/** Reads a blob again and compares it with its name. */
export async function verifyBlob(blobs: BlobStore, sha256: string): Promise<'ok' | 'missing' | 'damaged'> {
  const blob = await blobs.open(sha256)
  if (blob === undefined) return 'missing'
  try {
    const hash = createHash('sha256')
    const buffer = Buffer.allocUnsafe(READ_BYTES)
    let position = 0
    for (;;) {
      const bytes = await blob.read(buffer, position)
      if (bytes === 0) break
      hash.update(buffer.subarray(0, bytes))
      position += bytes
    }
    return hash.digest('hex') === sha256 ? 'ok' : 'damaged'
  } finally {
    await blob.close()
  }
}
