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
