import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { pipeline, type Readable } from 'node:stream'
import { pipeline as pipelineDone } from 'node:stream/promises'
import { crc32, createInflateRaw } from 'node:zlib'
import type { DocsFile } from './open-docs.js'
import { SMALL_FILE_BYTES } from './small-file-cache.js'

/**
 * Answers GET or HEAD with a file out of a documentation. Unpacks no more than
 * the socket takes. A file that is not what the zip announces is a fault: a
 * small one is found out before anything is sent, a large one loses its
 * connection before its last bytes. Resolves when the client has gone, too.
 */
export async function sendDocsFile(
  request: IncomingMessage,
  response: ServerResponse,
  file: DocsFile,
  { headers, idleTimeoutMs }: { readonly headers: OutgoingHttpHeaders; readonly idleTimeoutMs: number },
): Promise<void> {
  const whole = { ...headers, 'Content-Length': file.size }
  if (request.method === 'HEAD') {
    response.writeHead(200, whole).end()
    return
  }
  const bytes = checked(unpacked(await file.openPacked(), file), file)
  if (file.size <= SMALL_FILE_BYTES) {
    const pieces: Buffer[] = []
    for await (const piece of bytes) pieces.push(piece)
    response.writeHead(200, whole).end(Buffer.concat(pieces))
    return
  }
  response.writeHead(200, whole)
  response.setTimeout(idleTimeoutMs, () => response.destroy()) // counts only while the socket takes nothing
  await pipelineDone(bytes, response).catch((error: unknown) => {
    if (!isClientGone(error)) throw error
  })
}

const UNPACKED_BYTES = 64 * 1024

/** The stream fails when the packed one does, and takes that with it when it ends early. */
function unpacked(packed: Readable, { deflated }: DocsFile): Readable {
  return deflated ? pipeline(packed, createInflateRaw({ chunkSize: UNPACKED_BYTES }), () => undefined) : packed
}

/** The same bytes, the last piece only once all of them are those that were announced. */
async function* checked(pieces: AsyncIterable<Buffer>, { size, crc }: DocsFile): AsyncGenerator<Buffer> {
  let held: Buffer | undefined
  let seen = 0
  let seenCrc = 0
  for await (const piece of pieces) {
    seen += piece.length
    if (seen > size) break
    seenCrc = crc32(piece, seenCrc)
    if (held !== undefined) yield held
    held = piece
  }
  if (seen !== size || seenCrc !== crc) throw new Error(`a file of ${size} bytes in a documentation is not what its archive says`)
  if (held !== undefined) yield held
}

function isClientGone(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE'
}
