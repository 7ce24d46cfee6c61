import type { IncomingMessage } from 'node:http'
import { PassThrough, type Readable } from 'node:stream'
import { BodyFeed, type BodyOptions } from './request-body.js'

/** Looks at a body on its way; throws to have the stream end with the refusal. */
export interface BodyCheck {
  write(chunk: Uint8Array): void
  end(): void
}

/**
 * A request's body as a stream, with the limits of {@link BodyFeed}. It fails
 * with what `check` throws, with a refusal or when the client goes away; the
 * request itself is left alone, as an answer is still to be sent.
 */
export function bodyStream(request: IncomingMessage, options: BodyOptions, check: BodyCheck): Readable {
  const stream = new PassThrough()
  let feed: BodyFeed | undefined
  const fail = (reason: unknown): void => {
    feed?.[Symbol.dispose]()
    stream.destroy(reason instanceof Error ? reason : new Error('the body could not be read', { cause: reason }))
  }
  const checked = (step: () => void): boolean => {
    try {
      step()
      return true
    } catch (reason) {
      fail(reason)
      return false
    }
  }
  feed = new BodyFeed(request, options, {
    write: (chunk) => checked(() => check.write(chunk)) && stream.write(chunk),
    end: () => {
      if (!checked(() => check.end())) return
      feed?.[Symbol.dispose]()
      stream.end()
    },
    fail,
  })
  if (stream.destroyed) feed[Symbol.dispose]() // the client was gone before
  stream.on('drain', () => feed?.resume())
  stream.on('error', () => undefined) // who reads the stream hears of it as well
  return stream
}
