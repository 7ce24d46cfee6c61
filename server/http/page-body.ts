import type { ServerResponse } from 'node:http'

/** The bytes of a page. A long one stays in the pieces it was made of, which pages that follow it share. */
export interface PageBody {
  readonly length: number
  readonly pieces: readonly Buffer[]
}

/** Up to here one copy is cheaper than to hand over pieces at each reply. */
const JOINED_BYTES = 256 * 1024
/** Who takes nothing of a long page for this long is cut off. */
const STALLED_MS = 120_000

export function pageBody(pieces: readonly Buffer[]): PageBody {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  return { length, pieces: length <= JOINED_BYTES ? [Buffer.concat(pieces, length)] : pieces }
}

/** Writes the body behind a head that was written, or prepared with the length; HEAD gets none. */
export function endWith(response: ServerResponse, { pieces }: PageBody): void {
  const [only, ...others] = response.req.method === 'HEAD' ? [] : pieces
  if (others.length === 0) return void response.end(only)
  response.setTimeout(STALLED_MS) // a short one fits into the buffers of a connection, whoever reads
  response.cork() // all pieces in one system call
  for (const piece of pieces) response.write(piece)
  response.end()
}
