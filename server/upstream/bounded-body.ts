import type { Readable } from 'node:stream'

/** All of a body, which is destroyed; undefined for one that has more bytes than that, or breaks off. */
export async function boundedBody(body: Readable, mostBytes: number): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      size += chunk.length
      if (size > mostBytes) return undefined
      chunks.push(chunk)
    }
    return Buffer.concat(chunks, size)
  } catch {
    return undefined // the other side is gone, or the signal ended it: there is no whole body either way
  } finally {
    body.destroy()
  }
}
