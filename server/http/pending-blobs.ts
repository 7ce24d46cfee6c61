import type { StoredBlob } from '#server/commands/uploads.js'
import { isBlobNamed } from '#server/projections/blob-references.js'
import type { BlobStore, PinnedBlob, ReceivedBlob } from '#server/storage/blob-store.js'
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
  readonly #put: Promise<PinnedBlob>[] = []
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

  /** Durable when this resolves. */
  async putBytes(bytes: Uint8Array): Promise<StoredBlob> {
    const put = this.#blobs.putBytes(bytes)
    this.#put.push(put)
    const { sha256, size } = await put
    return { sha256, size }
  }

  /** The entry is written: they stay. */
  named(): void {
    this.#named = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const digests = this.#committed.map(({ sha256 }) => sha256)
    for (const put of await Promise.allSettled(this.#put)) {
      if (put.status === 'rejected') continue
      put.value[Symbol.dispose]()
      digests.push(put.value.sha256)
    }
    await Promise.allSettled(this.#committed.map(({ settled }) => settled))
    if (this.#named) return
    for (const sha256 of digests) {
      await this.#blobs.delete(sha256, { onlyIf: async () => !(await isBlobNamed(this.#storage, sha256)) })
    }
  }
}
