import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FileRef } from '#server/commands/lookups.js'
import { scopes } from '#server/projections/last-changed.js'
import { ChangeCells } from '#server/stages/change-cells.js'
import { type Basis, basisOf, isCurrent } from '#server/stages/live-pages.js'
import type { Reader } from '#server/storage/reader.js'
import type { Storage } from '#server/storage/storage.js'
import { isNotModified } from './caching.js'
import { type FileBody, fileHeaders } from './file-body.js'
import { wantsJson } from './negotiate.js'
import { addressKey, addressToKeep } from './original-url.js'
import { type NodeIdentity, nodeHeaders } from './respond.js'
import type { SmallFileCache } from './small-file-cache.js'

interface PublicFile {
  readonly file: FileBody
  readonly basis: Basis
  /** The headers are those of a node in this epoch. */
  readonly epoch: number
  /** Names and values in turn, all but the serial; with the length, and as a 304 has them. */
  readonly whole: readonly string[]
  readonly notModified: readonly string[]
}

const MOST_FILES = 20_000

/**
 * Addresses of small files that everybody may have, as they were answered
 * before. While neither the settings of the index nor the project changed, and
 * the bytes are still in memory, they are answered again without a look at
 * anything else.
 */
export class PublicFiles implements Disposable {
  readonly #storage: Storage
  readonly #node: NodeIdentity
  readonly #contents: SmallFileCache
  readonly #changes: ChangeCells
  #hits = 0
  /** In the order in which they came; the oldest leave first. */
  readonly #files = new Map<string, PublicFile>()

  constructor(storage: Storage, node: NodeIdentity, contents: SmallFileCache) {
    this.#storage = storage
    this.#node = node
    this.#contents = contents
    this.#changes = new ChangeCells(storage, () => { this.#files.clear() })
  }

  /** How often a request was answered here. */
  get hits(): number {
    return this.#hits
  }

  /** Answers a plain GET or HEAD for a file that is known here; false when it has to be found the long way. */
  answer(request: IncomingMessage, response: ServerResponse): boolean {
    const { method, url, headers } = request
    if (url === undefined || (method !== 'GET' && method !== 'HEAD')) return false
    if (headers.range !== undefined || headers['x-devpi-absolute-urls'] !== undefined || wantsJson(request)) return false
    const key = addressKey(request, url)
    const found = this.#files.get(key)
    if (found === undefined) return false
    if (!isCurrent(found.basis) || found.epoch !== this.#node.epoch) {
      this.#files.delete(key)
      return false
    }
    const { file } = found
    const content = this.#contents.get(file.sha256)
    if (content?.length !== file.size) return false
    this.#hits += 1
    const serial = ['X-DEVPI-SERIAL', String(this.#storage.head.serial)]
    if (isNotModified(headers, { etag: `"${file.sha256}"`, lastModifiedMs: file.lastModifiedMs })) {
      response.writeHead(304, [...found.notModified, ...serial]).end()
    } else {
      response.writeHead(200, [...found.whole, ...serial]).end(method === 'HEAD' ? undefined : content)
    }
    return true
  }

  /** Remembers an answer for everybody that was found by `reader`, which showed the head of a moment ago. */
  async remember(request: IncomingMessage, input: { readonly ref: FileRef; readonly project: string; readonly file: FileBody; readonly reader: Reader }): Promise<void> {
    const { ref, project, file, reader } = input
    const address = addressToKeep(request)
    if (address === undefined || this.#contents.get(file.sha256) === undefined) return
    const cells = await Promise.all(
      [scopes.settings(ref.user, ref.index), scopes.page(ref.user, ref.index, project)].map((scope) => this.#changes.cell(scope)),
    )
    if (cells.some(({ serial }) => serial > reader.serial)) return
    const common = [...fileHeaders(file), ...nodeHeaders(this.#node)]
    const whole = [...common, 'Content-Type', file.contentType, 'Content-Length', String(file.size)]
    this.#files.set(address, { file, basis: basisOf(cells), epoch: this.#node.epoch, whole, notModified: common })
    if (this.#files.size <= MOST_FILES) return
    for (const oldest of this.#files.keys()) {
      this.#files.delete(oldest)
      break
    }
  }

  [Symbol.dispose](): void {
    this.#changes[Symbol.dispose]()
  }
}
