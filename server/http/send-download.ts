import type { IncomingMessage, ServerResponse } from 'node:http'
import { Refusal } from '#log-format/api/refusal.js'
import type { BlobStore } from '#server/storage/blob-store.js'
import type { Download } from '#server/upstream/downloads.js'
import { type ByteRange, parseByteRange } from './byte-range.js'
import { ifRangeMatches, type Validators } from './caching.js'
import { pumpDownload } from './pump-download.js'

export interface DownloadReply {
  /** All but those of the length. */
  readonly headers: Readonly<Record<string, string>>
  readonly validators: Validators
  readonly blobs: Pick<BlobStore, 'open'>
  readonly idleTimeoutMs: number
}

/**
 * Answers GET or HEAD with a file that is on its way here, as it arrives: 200,
 * or 206 for a single range. What fails before the first byte is there is
 * thrown; later it costs the connection.
 */
export async function sendDownload(request: IncomingMessage, response: ServerResponse, download: Download, reply: DownloadReply): Promise<void> {
  const { headers, validators, blobs, idleTimeoutMs } = reply
  const size = await download.announcedSize
  if (request.method === 'HEAD') {
    response.writeHead(200, { ...headers, ...lengthHeader(size) }).end()
    return
  }
  const range = size === undefined || !ifRangeMatches(request.headers['if-range'], validators) ? undefined : rangeOf(request, size)
  const { start, end } = range ?? { start: 0, end: size ?? Infinity }
  await download.beyond(start)
  if (range !== undefined && size !== undefined) {
    response.writeHead(206, { ...headers, 'Content-Length': end - start, 'Content-Range': `bytes ${start}-${end - 1}/${size}` })
  } else {
    response.writeHead(200, { ...headers, ...lengthHeader(size) })
  }
  await pumpDownload(response, download, { start, end }, { blobs, idleTimeoutMs })
}

function lengthHeader(size: number | undefined): Readonly<Record<string, number>> {
  return size === undefined ? {} : { 'Content-Length': size }
}

function rangeOf({ headers }: IncomingMessage, size: number): ByteRange | undefined {
  if (headers.range === undefined) return undefined
  const range = parseByteRange(headers.range, size)
  if (range === 'unsatisfiable') {
    throw new Refusal('range-not-satisfiable', `the file has only ${size} bytes`, { headers: { 'Content-Range': `bytes */${size}` } })
  }
  return range === 'whole' ? undefined : range
}
