import { isBlobKept } from '#server/projections/blob-references.js'
import { isBlobMirrored } from '#server/projections/mirror-references.js'
import type { BlobStore, ListedBlob } from '#server/storage/blob-store.js'
import type { Storage } from '#server/storage/storage.js'
import type { Logger } from './logger.js'

export interface EvictorInput {
  readonly storage: Storage
  readonly blobs: Pick<BlobStore, 'list' | 'delete'>
  /** What files of mirrors may take on the disk together. */
  readonly mostBytes: number
  readonly undoWindowMs: number
  /** ms since the epoch. */
  readonly now: () => number
}

export interface EvictionCounts {
  /** Of mirrors alone, after the eviction. */
  readonly bytes: number
  readonly removed: number
  readonly removedBytes: number
}

/** Room made at a time, so that not each download looks at the whole store. */
const LEFT_AFTER = 0.9
/** Who just heard of a file can still have it. */
const GRACE_MS = 60_000
/** How finely files are told apart by when they were used. */
const SLOT_MS = 60_000

/**
 * Removes files of mirrors, those first that were not asked for the longest,
 * until the others fit. What a link names, or named within the undo window,
 * is no file of mirrors alone and stays. Looks at the store once, and once
 * more only when there is too much: the memory for it does not grow with the store.
 */
export async function evictOnce(input: EvictorInput, signal?: AbortSignal): Promise<EvictionCounts> {
  const { blobs, mostBytes, now } = input
  const time = now()
  const slots = new Map<number, number>()
  let bytes = 0
  for await (const blob of evictable(input, time, signal)) {
    bytes += blob.size
    if (time - blob.mtimeMs < GRACE_MS) continue
    const slot = slotOf(blob)
    slots.set(slot, (slots.get(slot) ?? 0) + blob.size)
  }
  if (bytes <= mostBytes) return { bytes, removed: 0, removedBytes: 0 }

  const wanted = bytes - mostBytes * LEFT_AFTER
  const last = lastSlot(slots, wanted)
  let removed = 0
  let removedBytes = 0
  for (const pass of ['before', 'at'] as const) {
    for await (const blob of evictable(input, time, signal)) {
      const slot = slotOf(blob)
      if (removedBytes >= wanted || time - blob.mtimeMs < GRACE_MS || (pass === 'before' ? slot >= last : slot !== last)) continue
      if (!(await blobs.delete(blob.sha256, { onlyIf: () => isOfMirrorsAlone(input, blob.sha256, time) }))) continue
      removed += 1
      removedBytes += blob.size
    }
  }
  return { bytes: bytes - removedBytes, removed, removedBytes }
}

/** Evicts in the background: at once, and whenever so much was stored that there may be too much. */
export class Evictor implements AsyncDisposable {
  readonly #input: EvictorInput
  readonly #logger: Logger
  readonly #stop = new AbortController()
  #bytes = 0
  #running: Promise<void> | undefined
  /** Whether something was stored while it looked, which it may have missed. */
  #isStale = false

  constructor(input: EvictorInput, logger: Logger) {
    this.#input = input
    this.#logger = logger
    this.#start()
  }

  /** To be told of every file that a mirror stored. */
  stored(bytes: number): void {
    this.#bytes += bytes
    this.#isStale = true
    this.#startIfDue()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  #startIfDue(): void {
    if (this.#running === undefined && this.#isStale && this.#bytes > this.#input.mostBytes) this.#start()
  }

  #start(): void {
    if (this.#stop.signal.aborted) return
    this.#isStale = false
    this.#running = this.#evict().finally(() => {
      this.#running = undefined
      this.#startIfDue()
    })
  }

  async #evict(): Promise<void> {
    const before = this.#bytes
    try {
      const { bytes, removed, removedBytes } = await evictOnce(this.#input, this.#stop.signal)
      this.#bytes = bytes + this.#bytes - before // with what was stored meanwhile
      if (removed > 0) this.#logger.info({ removed, removedBytes }, 'removed files of mirrors that were not asked for lately')
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#logger.error({ err: error }, 'files of mirrors could not be removed')
    }
  }
}

async function* evictable(input: EvictorInput, time: number, signal: AbortSignal | undefined): AsyncGenerator<ListedBlob> {
  for await (const blob of input.blobs.list()) {
    signal?.throwIfAborted()
    if (await isOfMirrorsAlone(input, blob.sha256, time)) yield blob
  }
}

async function isOfMirrorsAlone({ storage, undoWindowMs }: EvictorInput, sha256: string, time: number): Promise<boolean> {
  return (await isBlobMirrored(storage, sha256)) && !(await isBlobKept(storage, sha256, time - undoWindowMs))
}

function slotOf({ mtimeMs }: ListedBlob): number {
  return Math.floor(mtimeMs / SLOT_MS)
}

/** The first slot with which those up to it have as many bytes as are wanted; the last one if all have fewer. */
function lastSlot(slots: ReadonlyMap<number, number>, wanted: number): number {
  let bytes = 0
  const ascending = [...slots].sort(([a], [b]) => a - b)
  for (const [slot, size] of ascending) {
    bytes += size
    if (bytes >= wanted) return slot
  }
  return ascending.at(-1)?.[0] ?? -Infinity
}
