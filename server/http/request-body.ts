import type { IncomingMessage, ServerResponse } from 'node:http'
import { Refusal } from '#log-format/api/refusal.js'

/** The client went away before its request was complete: nobody is left to answer. */
export class RequestAborted extends Error {
  override readonly name = 'AbortError'
  constructor() {
    super('the client closed the connection before the request was complete')
  }
}

export interface BodyOptions {
  /** More bytes than this are refused `too-large`. */
  readonly maxBytes: number
  /** A client that sends nothing for this long, while we wait for it, is refused. */
  readonly idleTimeoutMs: number
  readonly signal?: AbortSignal
}

/** Where a body goes. */
export interface BodySink {
  /** Takes a piece; false asks to wait until `resume` is called. */
  write(chunk: Buffer): boolean
  /** The body is complete. */
  end(): void
  /** Nothing more will come. A refusal, a {@link RequestAborted}, or the signal's reason. */
  fail(reason: unknown): void
}

/** Feeds a request's body to a sink. The request itself is never destroyed: an answer is still to be sent. */
export class BodyFeed implements Disposable {
  readonly #req: IncomingMessage
  readonly #options: BodyOptions
  readonly #sink: BodySink
  readonly #idle: NodeJS.Timeout
  #bytes = 0
  #paused = false

  constructor(req: IncomingMessage, options: BodyOptions, sink: BodySink) {
    this.#req = req
    this.#options = options
    this.#sink = sink
    this.#idle = setTimeout(this.#onIdle, options.idleTimeoutMs)
    options.signal?.addEventListener('abort', this.#onAbort)
    req.on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onClose).on('close', this.#onClose)
    if (options.signal?.aborted === true) this.#onAbort()
    else if (req.destroyed && !req.readableEnded) this.#onClose()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#idle.refresh()
    this.#req.resume()
  }

  /** Stops listening; what is left of the body stays unread. */
  [Symbol.dispose](): void {
    clearTimeout(this.#idle)
    this.#paused = false // a late `resume` does nothing
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#req.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClose).pause()
    // The error listener stays: a reset that comes later must not bring the process down.
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#idle.refresh()
    this.#bytes += chunk.length
    if (this.#bytes > this.#options.maxBytes) return this.#sink.fail(bodyTooLarge(this.#options.maxBytes))
    if (this.#sink.write(chunk)) return
    this.#paused = true
    this.#req.pause()
  }

  readonly #onEnd = (): void => {
    clearTimeout(this.#idle)
    this.#sink.end()
  }

  readonly #onClose = (): void => {
    if (!this.#req.readableEnded) this.#sink.fail(new RequestAborted())
  }

  readonly #onAbort = (): void => {
    this.#sink.fail(this.#options.signal?.reason)
  }

  readonly #onIdle = (): void => {
    if (this.#paused) return // it is we who are slow
    this.#sink.fail(
      new Refusal('invalid', 'the request stopped before it was complete; try again', { headers: { Connection: 'close' } }),
    )
  }
}

export function bodyTooLarge(maxBytes: number): Refusal {
  return new Refusal('too-large', `the request is larger than the ${maxBytes} bytes allowed here`)
}

export interface DrainLimits {
  readonly maxBytes: number
  readonly maxMs: number
}

const DRAIN_LIMITS: DrainLimits = { maxBytes: 64 * 1024 * 1024, maxMs: 10_000 }

/**
 * For an answer that is sent before the request was read to its end, such as
 * a refused upload. Most clients read the answer only after they have sent
 * everything, and closing at once would reset the connection under it. So the
 * rest is read and dropped; what exceeds the limits ends the connection, once
 * the answer has been written.
 */
export function drainOrClose(req: IncomingMessage, res: ServerResponse, limits: DrainLimits = DRAIN_LIMITS): void {
  if (req.complete || req.destroyed) return
  const { socket } = req
  const close = (): void => {
    stop()
    if (res.writableFinished) socket.destroy()
    else res.once('finish', () => socket.destroy())
  }
  const timer = setTimeout(close, limits.maxMs)
  let bytes = 0
  const onData = (chunk: Buffer): void => {
    bytes += chunk.length
    if (bytes > limits.maxBytes) close()
  }
  const stop = (): void => {
    clearTimeout(timer)
    socket.off('close', stop)
    req.off('data', onData).off('end', stop).pause()
  }
  const ignore = (): void => undefined
  socket.on('close', stop) // an answered request does not report it
  req.on('data', onData).on('end', stop).on('error', ignore).resume()
}
