import { type Frame, FrameReader } from '#log-format/framing.js'
import { MAX_BLOCK_BYTES, SNAPSHOT_TYPE } from '#server/storage/snapshot-blocks.js'
import { type PrimaryConnection, refusalIn } from './primary-request.js'
import { unlessSilent } from './silence.js'

/** A primary that sends nothing for so long of a snapshot is not there. */
const SILENCE_MS = 25_000

/** The frames of a snapshot of the primary, as they come. Throws why there are none, or no more. */
export async function* fetchSnapshot(primary: PrimaryConnection, signal: AbortSignal): AsyncGenerator<Frame> {
  const reply = await primary.get('/+snapshot', { Accept: `${SNAPSHOT_TYPE}, application/json` }, signal)
  const pieces = unlessSilent(reply, SILENCE_MS)
  try {
    if (reply.statusCode !== 200) throw await refusalIn(reply, pieces)
    if (reply.headers['content-type'] !== SNAPSHOT_TYPE) throw new Error('what answers is no server of this kind')
    const reader = new FrameReader(MAX_BLOCK_BYTES)
    for await (const piece of pieces) yield* reader.push(piece)
  } finally {
    if (!reply.readableEnded) reply.destroy()
  }
}
