import type { ServerResponse } from 'node:http'

/**
 * Aborts when a response is closed, or with another signal: whoever waits for
 * something to send needs to know. A response that was closed before somebody
 * listens says so no more, so that is looked at, too.
 */
export class ClientGone implements Disposable {
  readonly #aborter = new AbortController()
  readonly #res: ServerResponse
  readonly #other: AbortSignal | undefined

  constructor(res: ServerResponse, other?: AbortSignal) {
    this.#res = res
    this.#other = other
    res.on('close', this.#end)
    res.on('error', this.#end)
    other?.addEventListener('abort', this.#end)
    if (res.destroyed || other?.aborted === true) this.#end()
  }

  get signal(): AbortSignal {
    return this.#aborter.signal
  }

  /** The response may still tell of an error, which is nobody's then. */
  [Symbol.dispose](): void {
    this.#res.off('close', this.#end)
    this.#other?.removeEventListener('abort', this.#end)
  }

  readonly #end = (): void => {
    this.#aborter.abort()
  }
}
