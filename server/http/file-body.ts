import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { Refusal } from '#log-format/api/refusal.js'
import type { BlobStore, OpenBlob } from '#server/storage/blob-store.js'
import { type ByteRange, parseByteRange } from './byte-range.js'
import { formatHttpDate, ifRangeMatches, isNotModified } from './caching.js'
import { pumpFile } from './file-pump.js'
import type { HotFiles } from './hot-files.js'
import { SMALL_FILE_BYTES, type SmallFileCache } from './small-file-cache.js'

const IDLE_TIMEOUT_MS = 120_000

export interface FileBody {
  /** Names the blob and, quoted, is the ETag. */
  readonly sha256: string
  readonly size: number
  readonly contentType: string
  readonly lastModifiedMs?: number
  /** Such as `Cache-Control` and `X-DEVPI-SERIAL`; also part of a 304. */
  readonly headers?: Readonly<Record<string, string>>
}

export interface FileSource {
  readonly blobs: Pick<BlobStore, 'open'>
  readonly cache?: SmallFileCache
  readonly hot?: HotFiles
  /** A client that takes nothing for so long is cut off; 120 s unless told otherwise. */
  readonly idleTimeoutMs?: number
}

/**
 * Answers GET or HEAD with a file: 200, 206 for a single range, 304. Never with
 * a Content-Encoding, which would make installers unpack an sdist. Resolves
 * when all is handed to the socket or the client is gone. Refuses
 * `range-not-satisfiable`, and `not-found` when the blob is not here; both
 * before anything is sent.
 */
export async function sendFile(req: IncomingMessage, res: ServerResponse, file: FileBody, from: FileSource): Promise<void> {
  const validators = { etag: `"${file.sha256}"`, lastModifiedMs: file.lastModifiedMs }
  const headers: OutgoingHttpHeaders = {}
  const common = fileHeaders(file)
  for (let at = 0; at < common.length; at += 2) headers[common[at] ?? ''] = common[at + 1]
  if (isNotModified(req.headers, validators)) {
    res.writeHead(304, headers).end()
    return
  }
  const { range: wanted, 'if-range': ifRange } = req.headers
  const partial = req.method === 'GET' && wanted !== undefined && ifRangeMatches(ifRange, validators)
  const range = partial ? parseByteRange(wanted, file.size) : 'whole'
  if (range === 'unsatisfiable') {
    throw new Refusal('range-not-satisfiable', `the file has only ${file.size} bytes`, {
      headers: { 'Content-Range': `bytes */${file.size}` },
    })
  }
  const bytes = range === 'whole' ? { start: 0, end: file.size } : range
  headers['Content-Type'] = file.contentType
  headers['Content-Length'] = bytes.end - bytes.start
  if (range !== 'whole') headers['Content-Range'] = `bytes ${bytes.start}-${bytes.end - 1}/${file.size}`
  const head: Head = { status: range === 'whole' ? 200 : 206, headers }
  if (req.method === 'HEAD') await sendHead(res, head, file, from)
  else if (file.size <= SMALL_FILE_BYTES) await sendSmall(res, head, file, bytes, from)
  else await sendLarge(res, head, file, bytes, from)
}

/** The headers of every answer with or about the file, names and values in turn. */
export function fileHeaders({ sha256, lastModifiedMs, headers = {} }: FileBody): string[] {
  return [
    ...Object.entries(headers).flat(),
    ...['ETag', `"${sha256}"`, 'Accept-Ranges', 'bytes'],
    ...(lastModifiedMs === undefined ? [] : ['Last-Modified', formatHttpDate(lastModifiedMs)]),
  ]
}

interface Head {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
}

async function sendHead(res: ServerResponse, head: Head, file: FileBody, from: FileSource): Promise<void> {
  if (from.cache?.get(file.sha256) === undefined) await (await openBlob(file, from)).close()
  res.writeHead(head.status, head.headers).end()
}

async function sendSmall(res: ServerResponse, head: Head, file: FileBody, range: ByteRange, from: FileSource): Promise<void> {
  const content = from.cache?.get(file.sha256) ?? (await readSmall(file, from))
  const whole = range.end - range.start === content.length
  res.writeHead(head.status, head.headers).end(whole ? content : content.subarray(range.start, range.end))
}

async function readSmall(file: FileBody, from: FileSource): Promise<Uint8Array> {
  const blob = await openBlob(file, from)
  try {
    const content = Buffer.allocUnsafeSlow(file.size)
    if ((await blob.read(content, 0)) !== file.size) throw new Error(`the blob ${file.sha256} is shorter than it was`)
    from.cache?.set(file.sha256, content)
    return content
  } finally {
    await blob.close()
  }
}

async function sendLarge(res: ServerResponse, head: Head, file: FileBody, range: ByteRange, from: FileSource): Promise<void> {
  const content = from.hot?.get(file, () => from.blobs.open(file.sha256))
  if (content !== undefined) {
    res.setTimeout(from.idleTimeoutMs ?? IDLE_TIMEOUT_MS, () => res.destroy()) // counts only while the socket takes nothing
    res.writeHead(head.status, head.headers).end(content.subarray(range.start, range.end))
    return
  }
  const blob = await openBlob(file, from)
  try {
    res.writeHead(head.status, head.headers)
    await pumpFile(res, blob, range, from.idleTimeoutMs ?? IDLE_TIMEOUT_MS)
  } finally {
    await blob.close()
  }
}

/** A blob of another size than the log says is a fault, found before a wrong length is promised. */
async function openBlob(file: FileBody, from: FileSource): Promise<OpenBlob> {
  const blob = await from.blobs.open(file.sha256)
  if (blob === undefined) throw new Refusal('not-found', 'no such file')
  if (blob.size === file.size) return blob
  await blob.close()
  throw new Error(`the blob ${file.sha256} has ${blob.size} bytes instead of ${file.size}`)
}
