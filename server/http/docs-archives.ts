import { RecentMap } from '#server/auth/recent-map.js'
import type { DiskBlobs } from '#server/storage/disk-blobs.js'
import { type DocsFile, OpenDocs } from './open-docs.js'

/** A documentation that stays open until disposal. */
export interface DocsLease extends Disposable {
  /** By its path from the top, `api/index.html`. */
  file(path: string): DocsFile | undefined
}

const MOST_OPEN = 16
/** Lists of files are as long as they like, so their memory counts too. */
const MOST_LISTED_BYTES = 32 * 1024 * 1024
/** Contents that are known to be no documentation. */
const KNOWN_OTHERS = 10_000

/**
 * Documentation zips that were asked for lately, open, with their lists of
 * files. Nothing is unpacked to the disk. The one used longest ago is closed
 * when there are too many, but not before its last lease has ended.
 */
export class DocsArchives implements AsyncDisposable {
  readonly #blobs: Pick<DiskBlobs, 'open' | 'path'>
  readonly #mostOpen: number
  /** In the order of use, the oldest first. */
  readonly #slots = new Map<string, Slot>()
  readonly #others = new RecentMap<true>(KNOWN_OTHERS)

  constructor(blobs: Pick<DiskBlobs, 'open' | 'path'>, { mostOpen = MOST_OPEN }: { readonly mostOpen?: number } = {}) {
    this.#blobs = blobs
    this.#mostOpen = mostOpen
  }

  /** How many are kept open now. */
  get size(): number {
    return this.#slots.size
  }

  /**
   * Opens the documentation in a blob; once, however many ask. Undefined when
   * the blob is not there, or is none: documentation has an `index.html` at
   * its top.
   */
  async lease(sha256: string): Promise<DocsLease | undefined> {
    if (this.#others.get(sha256) !== undefined) return undefined
    const slot = this.#slots.get(sha256) ?? new Slot(OpenDocs.open(this.#blobs, sha256))
    this.#slots.delete(sha256)
    this.#slots.set(sha256, slot)
    slot.take()
    const docs = await slot.opening.catch(() => undefined)
    if (docs instanceof OpenDocs) {
      this.#closeOldest()
      return { file: (path) => docs.file(path), [Symbol.dispose]: () => slot.release() }
    }
    if (this.#slots.get(sha256) === slot) this.#slots.delete(sha256)
    if (docs === 'other') this.#others.set(sha256, true) // a digest names one content for ever
    await slot.opening // if it failed, who asked is told so
    return undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const slots = [...this.#slots.values()]
    this.#slots.clear()
    await Promise.all(slots.map((slot) => slot.retire()))
  }

  #closeOldest(): void {
    let listedBytes = 0
    for (const slot of this.#slots.values()) listedBytes += slot.listedBytes
    for (const [sha256, slot] of this.#slots) {
      const few = this.#slots.size <= this.#mostOpen && listedBytes <= MOST_LISTED_BYTES
      if (few || this.#slots.size === 1) return
      this.#slots.delete(sha256)
      listedBytes -= slot.listedBytes
      void slot.retire()
    }
  }
}

/** An archive and how many use it. Closed when it is retired and unused. */
class Slot {
  readonly opening: ReturnType<typeof OpenDocs.open>
  /** Known once it is open. */
  listedBytes = 0
  #leases = 0
  #retired = false

  constructor(opening: Slot['opening']) {
    this.opening = opening
    opening.then(
      (docs) => {
        if (docs instanceof OpenDocs) this.listedBytes = docs.listedBytes
      },
      () => undefined,
    )
  }

  take(): void {
    this.#leases += 1
  }

  release(): void {
    this.#leases -= 1
    if (this.#retired) void this.retire()
  }

  /** Resolves when it is closed, or left to its last lease to close. */
  async retire(): Promise<void> {
    this.#retired = true
    if (this.#leases > 0) return
    const docs = await this.opening.catch(() => undefined)
    if (docs instanceof OpenDocs) await docs.close()
  }
}
