import type { ServerResponse } from 'node:http'
import type { BlobStore, OpenBlob } from '#server/storage/blob-store.js'
import { openFile } from '#server/storage/open-blob.js'
import type { Download, RecentBytes } from '#server/upstream/downloads.js'
import type { ByteRange } from './byte-range.js'
import { PumpBuffers, pumpFile } from './file-pump.js'

/**
 * Writes a range of a file that is still on its way to a response that has its
 * head, and ends it: behind the download while it goes on, from the store once
 * it is over. An `end` of Infinity is that of the file. A download that fails
 * destroys the socket, so that nobody takes what arrived for all of it.
 */
export async function pumpDownload(
  res: ServerResponse,
  download: Download,
  range: ByteRange,
  from: { readonly blobs: Pick<BlobStore, 'open'>; readonly idleTimeoutMs: number },
): Promise<void> {
  res.setTimeout(from.idleTimeoutMs, () => res.destroy()) // counts only while the socket takes nothing
  const buffers = new PumpBuffers(res, range.end - range.start)
  let position = range.start
  let temp: OpenBlob | undefined
  try {
    while (position < range.end && !res.destroyed) {
      const progress = await download.beyond(position)
      if (progress.kind === 'whole') {
        await buffers.flushed() // what follows has buffers of its own
        const blob = await from.blobs.open(progress.sha256)
        if (blob === undefined) throw new Error(`the blob ${progress.sha256} is gone right after it was stored`)
        try {
          await pumpFile(res, blob, { start: position, end: Math.min(range.end, progress.size) }, from.idleTimeoutMs)
        } finally {
          await blob.close()
        }
        return
      }
      const end = Math.min(progress.bytes, range.end)
      const { recent } = progress
      if (recent !== undefined && recent.start <= position) {
        const passed = await buffers.passOn(cut(recent, position, end))
        if (passed === 'gone') return
        position += passed
        continue
      }
      temp ??= await openUnlessGone(progress.path)
      if (temp === undefined) {
        await download.beyond(Infinity)
        continue
      }
      const bytes = await buffers.pass(temp, position, end - position)
      if (bytes === 'gone') return
      position += bytes
    }
    await buffers.flushed()
    res.end()
  } catch {
    res.destroy() // the head was sent: a connection that breaks off is all that can be said
  } finally {
    await temp?.close()
  }
}

/** The bytes from `from` up to `to`; there is at least one of them. */
function cut({ start, chunks }: RecentBytes, from: number, to: number): Uint8Array[] {
  const found: Uint8Array[] = []
  let at = start
  for (const chunk of chunks) {
    const piece = chunk.subarray(Math.max(0, from - at), Math.max(0, to - at))
    if (piece.length > 0) found.push(piece)
    at += chunk.length
  }
  return found
}

/** Undefined when the download ended meanwhile. */
async function openUnlessGone(path: string): Promise<OpenBlob | undefined> {
  try {
    return await openFile(path)
  } catch (error) {
    if (typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
