import { Readable } from 'node:stream'
import { BrokenArchive } from './broken-archive.js'

/** The bytes of an archive, wherever they lie: read at any offset, never as a whole. */
export interface ArchiveSource {
  readonly size: number
  /** Fills `buffer` from `position` on; fewer bytes than fit, or 0, only at the end. */
  read(buffer: Uint8Array, position: number): Promise<number>
}

/** The bytes from `from` up to, not including, `to`. Throws `BrokenArchive` when there are fewer. */
export async function readAt(source: ArchiveSource, from: number, to: number): Promise<Buffer<ArrayBuffer>> {
  if (to > source.size) throw new BrokenArchive('is truncated')
  const bytes = Buffer.allocUnsafe(to - from)
  if ((await source.read(bytes, from)) < bytes.length) throw new BrokenArchive('is truncated')
  return bytes
}

const PIECE_BYTES = 64 * 1024

/** The same bytes, read ahead: for many small reads in rising order. One at a time. */
export function readingAhead(source: ArchiveSource): ArchiveSource {
  const ahead = Buffer.allocUnsafe(PIECE_BYTES)
  let start = 0
  let length = 0
  return {
    size: source.size,
    read: async (buffer, position) => {
      if (buffer.length > PIECE_BYTES) return await source.read(buffer, position)
      if (position < start || position + buffer.length > start + length) {
        length = 0 // in case the read fails
        length = await source.read(ahead, position)
        start = position
      }
      return ahead.copy(buffer, 0, position - start, Math.min(length, position - start + buffer.length))
    },
  }
}

/** Some of the bytes, as if there were no others. They must be there. */
export function partOf(source: ArchiveSource, from: number, size: number): ArchiveSource {
  return {
    size,
    read: (buffer, position) => source.read(buffer.subarray(0, Math.max(0, size - position)), from + position),
  }
}

/** All bytes in order. Destroying the stream stops the reading, and so does the signal. */
export function streamOf(source: ArchiveSource, signal?: AbortSignal): Readable {
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let position = 0; position < source.size; position += PIECE_BYTES) {
      signal?.throwIfAborted()
      yield await readAt(source, position, Math.min(source.size, position + PIECE_BYTES))
    }
  }
  return Readable.from(pieces(), { objectMode: false })
}
