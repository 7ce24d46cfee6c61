import type { Readable } from 'node:stream'

/**
 * The chunks of a stream, pulled one by one. Unlike `for await` over the
 * stream it leaves the stream alone when the reader stops early: destroying a
 * request would close its socket before the refusal is sent. Throws the
 * stream's error, the signal's reason, or an error when the stream closes
 * before its end. It listens from the call on, so it must be iterated.
 */
export function streamChunks(stream: Readable, signal?: AbortSignal): AsyncIterable<Buffer> {
  const state = { failure: streamFailure(stream, signal), ended: stream.readableEnded, wake: (): void => undefined }
  const onReadable = (): void => state.wake()
  const onEnd = (): void => {
    state.ended = true
    state.wake()
  }
  const onFailure = (): void => {
    state.failure ??= streamFailure(stream, signal)
    state.wake()
  }
  stream.on('readable', onReadable).on('end', onEnd).on('error', onFailure).on('close', onFailure)
  signal?.addEventListener('abort', onFailure)
  const stop = (): void => {
    stream.off('readable', onReadable).off('end', onEnd).off('error', onFailure).off('close', onFailure)
    signal?.removeEventListener('abort', onFailure)
  }
  return pulledChunks(stream, state, stop)
}

interface StreamState {
  readonly failure: { readonly reason: unknown } | undefined
  readonly ended: boolean
  /** Called by the listeners when there is something new. */
  wake: () => void
}

async function* pulledChunks(stream: Readable, state: StreamState, stop: () => void): AsyncGenerator<Buffer> {
  try {
    for (;;) {
      if (state.failure !== undefined) throw state.failure.reason
      const chunk = state.ended ? null : (stream.read() as Buffer | null)
      if (chunk !== null) yield chunk
      else if (state.ended) return
      else await new Promise<void>((resolve) => (state.wake = resolve))
    }
  } finally {
    stop()
  }
}

function streamFailure(stream: Readable, signal: AbortSignal | undefined): { readonly reason: unknown } | undefined {
  if (signal?.aborted === true) return { reason: signal.reason }
  if (stream.errored !== null && stream.errored !== undefined) return { reason: stream.errored }
  if (stream.destroyed && !stream.readableEnded) return { reason: new Error('the stream closed before its end') }
  return undefined
}
