import { isBlobNamed } from '#server/projections/blob-references.js'
import type { BlobStore, ReceivedBlob } from '#server/storage/blob-store.js'
import type { Deps } from './deps.js'

/**
 * Blobs that are stored for an entry about to be written. Disposal lets go of
 * them and, unless the entry was written, deletes those that no entry names.
 * Owners of received blobs dispose them before.
 */
export class PendingBlobs implements AsyncDisposable {
  readonly #blobs: BlobStore
  readonly #storage: Deps['storage']
  readonly #committed: { readonly sha256: string; readonly settled: Promise<unknown> }[] = []
  #named = false

  constructor({ blobs, storage }: Pick<Deps, 'blobs' | 'storage'>) {
    this.#blobs = blobs
    this.#storage = storage
  }

  /** Durable when this resolves. */
  async commit(received: ReceivedBlob): Promise<void> {
    const settled = received.commit()
    this.#committed.push({ sha256: received.sha256, settled })
    await settled
  }

  /** The entry is written: they stay. */
  named(): void {
    this.#named = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#committed.map(({ settled }) => settled))
    if (this.#named || !this.#storage.isWritable) return // an entry that could not be written may be there after a restart
    for (const { sha256 } of this.#committed) {
      await this.#blobs.delete(sha256, { onlyIf: async () => !(await isBlobNamed(this.#storage, sha256)) })
    }
  }
}
