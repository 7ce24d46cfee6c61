import type { BlobStore } from './blob-store.js'

export interface SweepOptions {
  /** Whether an entry at head names the blob. */
  readonly isNamed: (sha256: string) => boolean | Promise<boolean>
  /** Blobs received less than this long ago stay: another node may be about to name them. */
  readonly olderThanMs: number
  readonly now: number
  readonly signal?: AbortSignal
}

export interface SweepCounts {
  readonly seen: number
  readonly seenBytes: number
  readonly removed: number
  readonly removedBytes: number
}

/** Removes blobs that nobody names or pins: what a crash between blob and entry, or a deletion, left behind. */
export async function sweepBlobs(blobs: BlobStore, options: SweepOptions): Promise<SweepCounts> {
  const { isNamed, olderThanMs, now, signal } = options
  let seen = 0
  let seenBytes = 0
  let removed = 0
  let removedBytes = 0
  for await (const { sha256, size, mtimeMs } of blobs.list()) {
    signal?.throwIfAborted()
    seen += 1
    seenBytes += size
    if (now - mtimeMs < olderThanMs) continue
    if (await blobs.delete(sha256, { onlyIf: async () => !(await isNamed(sha256)) })) {
      removed += 1
      removedBytes += size
    }
  }
  return { seen, seenBytes, removed, removedBytes }
}
