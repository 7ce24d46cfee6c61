import type { IncomingMessage, ServerResponse } from 'node:http'
import { Refusal, type RefusalKind } from '#log-format/api/refusal.js'
import { lastNamed } from '#server/projections/blob-references.js'
import type { BlobFetches } from '#server/replication/blob-fetches.js'
import type { BlobStore } from '#server/storage/blob-store.js'
import { isNotModified } from './caching.js'
import type { Deps } from './deps.js'
import { type FileBody, fileHeaders } from './file-body.js'
import { sendDownload } from './send-download.js'

/** Blobs that are fetched whole when somebody opens one that is not here; as they are on a node that has all. */
export function fetchedBlobs(blobs: Pick<BlobStore, 'open'>, fetches: Pick<BlobFetches, 'of'> | undefined): Pick<BlobStore, 'open'> {
  if (fetches === undefined) return blobs
  return {
    open: async (sha256) => {
      const found = await blobs.open(sha256)
      if (found !== undefined) return found
      const isFetched = await fetches.of({ sha256 }).whole().then(() => true, unlessNowhere)
      return isFetched ? blobs.open(sha256) : undefined
    },
  }
}

/**
 * Answers GET or HEAD with a file that is not here, as it arrives from another
 * node, once for all who want it. False when it has to be answered otherwise:
 * it is here, or nowhere. Refuses in words for who asked what keeps it away.
 */
export async function sendMissing(deps: Deps, request: IncomingMessage, response: ServerResponse, file: FileBody): Promise<boolean> {
  const { blobs, fetches, limits, smallFiles, storage } = deps
  const { sha256, size, contentType, lastModifiedMs } = file
  if (fetches === undefined || smallFiles.get(sha256) !== undefined || (await blobs.stat(sha256)) !== undefined) return false
  const headers: Record<string, string> = { 'Content-Type': contentType }
  const common = fileHeaders(file)
  for (let at = 0; at < common.length; at += 2) headers[common[at] ?? ''] = common[at + 1] ?? ''
  const validators = { etag: `"${sha256}"`, lastModifiedMs }
  if (isNotModified(request.headers, validators)) return false
  if (request.method === 'HEAD') {
    if ((await lastNamed(storage, sha256)) !== 'now') return false // whether it is still kept elsewhere is another question
    response.writeHead(200, { ...headers, 'Content-Length': size }).end()
    return true
  }
  const download = fetches.of({ sha256, size })
  return sendDownload(request, response, download, { headers, validators, blobs, idleTimeoutMs: limits.idleTimeoutMs }).then(() => true, unlessNowhere)
}

const REASONS: { readonly [K in RefusalKind]?: string } = {
  'not-available': 'the file is not on this replica yet, and its primary cannot be asked for it now; try again later',
  'upstream-failed': 'the file is not on this replica yet, and no other server could give all of it; try again later',
  'storage-full': 'the file is not on this replica yet, and there is no room for it on its disk',
}

/** False where no other node has it. The addresses of those are nothing to who asks. */
function unlessNowhere(error: unknown): false {
  if (!(error instanceof Refusal)) throw error
  if (error.kind === 'not-found') return false
  const reason = REASONS[error.kind]
  throw reason === undefined ? error : new Refusal(error.kind, reason, { cause: error })
}
