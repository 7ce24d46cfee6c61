import { open } from 'node:fs/promises'
import type { OpenBlob } from './blob-store.js'

/** Opens a file for reads at any offset. */
export async function openFile(path: string): Promise<OpenBlob> {
  const handle = await open(path)
  try {
    const { size } = await handle.stat()
    return {
      size,
      read: async (buffer, position) => {
        let filled = 0
        while (filled < buffer.length) {
          const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, position + filled)
          if (bytesRead === 0) break
          filled += bytesRead
        }
        return filled
      },
      close: () => handle.close(),
    }
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** Bytes in memory, one chunk after the other, as a blob that is open. */
export function openBytes(...chunks: readonly Uint8Array[]): OpenBlob {
  const size = chunks.reduce((sum, { length }) => sum + length, 0)
  return {
    size,
    read: async (buffer, position) => {
      let filled = 0
      let start = 0
      for (const chunk of chunks) {
        const from = Math.max(0, position + filled - start)
        start += chunk.length
        if (from >= chunk.length) continue
        const piece = chunk.subarray(from, from + buffer.length - filled)
        buffer.set(piece, filled)
        filled += piece.length
        if (filled === buffer.length) break
      }
      return filled
    },
    close: async () => undefined,
  }
}

const PIECE_BYTES = 256 * 1024

/** All bytes in order, each piece valid until the next one. */
export async function readPieces(blob: OpenBlob, take: (piece: Uint8Array) => void): Promise<void> {
  const buffer = Buffer.allocUnsafe(PIECE_BYTES)
  for (let position = 0; ; ) {
    const bytes = await blob.read(buffer, position)
    if (bytes === 0) return
    take(buffer.subarray(0, bytes))
    position += bytes
  }
}
