import { setTimeout as wait } from 'node:timers/promises'
import { isBlobKept } from '#server/projections/blob-references.js'
import { isBlobMirrored } from '#server/projections/mirror-references.js'
import type { BlobStore } from '#server/storage/blob-store.js'
import type { Storage } from '#server/storage/storage.js'
import { sweepBlobs, type SweepCounts } from '#server/storage/sweep.js'
import type { Logger } from './logger.js'

export interface SweeperInput {
  readonly storage: Storage
  readonly blobs: BlobStore
  /** How long a blob stays after its last link went; `Infinity`: for ever. */
  readonly undoWindowMs: number
  /** ms since the epoch. */
  readonly now: () => number
  /** Told what each sweep found. */
  readonly onSwept?: (counts: SweepCounts) => void
}

/** Blobs younger than this may belong to an upload that goes on. */
const SWEEP_GRACE_MS = 60 * 60 * 1000
const SWEEP_EVERY_MS = 24 * 60 * 60 * 1000

/**
 * Removes the blobs that no link names and none has named within the undo
 * window, and that are of no mirror. The clock is asked once: what is removed while a sweep goes on stays.
 */
export function sweepOnce({ storage, blobs, undoWindowMs, now }: SweeperInput, signal?: AbortSignal): Promise<SweepCounts> {
  const time = now()
  return sweepBlobs(blobs, {
    isNamed: async (sha256) => (await isBlobKept(storage, sha256, time - undoWindowMs)) || (await isBlobMirrored(storage, sha256)),
    olderThanMs: SWEEP_GRACE_MS,
    now: time,
    ...(signal && { signal }),
  })
}

/** Sweeps in the background: at once, then every day. */
export function keepSweeping(input: SweeperInput, logger: Logger): AsyncDisposable {
  const aborter = new AbortController()
  const { signal } = aborter
  const done = sweepDaily(input, logger, signal).catch((error: unknown) => {
    if (!signal.aborted) logger.error({ err: error }, 'files that nothing names are no longer removed')
  })
  return {
    [Symbol.asyncDispose]: async () => {
      aborter.abort()
      await done
    },
  }
}

async function sweepDaily(input: SweeperInput, logger: Logger, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      const counts = await sweepOnce(input, signal)
      input.onSwept?.(counts)
      const { removed, removedBytes } = counts
      if (removed > 0) logger.info({ removed, removedBytes }, 'removed files that nothing names')
    } catch (error) {
      if (signal.aborted) return
      logger.error({ err: error }, 'unnamed files could not be removed; tomorrow it is tried again')
    }
    await wait(SWEEP_EVERY_MS, undefined, { ref: false, signal })
  }
}
