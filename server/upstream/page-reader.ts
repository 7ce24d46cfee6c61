import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import { Refusal } from '#log-format/api/refusal.js'

/** An answer with a page in it, still encoded. */
export interface PageReply {
  readonly headers: IncomingHttpHeaders
  readonly url: URL
  readonly body: IncomingMessage
}

export interface PageLimits {
  /** Of one page, unpacked. */
  readonly pageBytes: number
  /** What a page may have without being counted with the others. */
  readonly smallBytes: number
  /** Of all pages together that are larger and being read. */
  readonly totalBytes: number
}

const LIMITS: PageLimits = { pageBytes: 64 * 1024 * 1024, smallBytes: 1024 * 1024, totalBytes: 128 * 1024 * 1024 }

/** Reads pages of upstreams into memory, of which all of them together get so much and no more. */
export class PageReader {
  readonly #limits: PageLimits
  #bytes = 0

  constructor(limits: Partial<PageLimits> = {}) {
    this.#limits = { ...LIMITS, ...limits }
  }

  /** The reply as text in UTF-8, unpacked. Refuses `upstream-failed`. */
  async read({ body, headers, url }: PageReply): Promise<string> {
    const unpacked = unpack(body, headers['content-encoding'] ?? 'identity')
    if (unpacked === undefined) {
      body.destroy()
      throw new Refusal('upstream-failed', `${url.host} answered in an encoding that nobody asked for`)
    }
    const chunks: Uint8Array[] = []
    let size = 0
    let counted = 0
    try {
      for await (const chunk of unpacked as AsyncIterable<Uint8Array>) {
        size += chunk.length
        chunks.push(chunk)
        if (size <= this.#limits.smallBytes) continue
        this.#bytes += size - counted
        counted = size
        this.#check(size, url)
      }
      return Buffer.concat(chunks, size).toString('utf8')
    } catch (error) {
      if (error instanceof Refusal) throw error
      throw new Refusal('upstream-failed', `the answer of ${url.host} broke off`, { cause: error })
    } finally {
      this.#bytes -= counted
      unpacked.destroy()
      body.destroy()
    }
  }

  #check(size: number, { host }: URL): void {
    const { pageBytes, totalBytes } = this.#limits
    if (size > pageBytes) throw new Refusal('upstream-failed', `the page at ${host} has more than ${pageBytes} bytes`)
    if (this.#bytes > totalBytes) throw new Refusal('upstream-failed', `the page at ${host} is large, and so are others that are read just now; try again in a moment`)
  }
}

/** The body as it was before it was encoded; undefined for an encoding that nobody asked for. */
export function unpack(body: IncomingMessage, encoding: string): Readable | undefined {
  const unpacker =
    encoding === 'gzip' || encoding === 'x-gzip' ? createGunzip() : encoding === 'br' ? createBrotliDecompress() : encoding === 'deflate' ? createInflate() : undefined
  if (unpacker === undefined) return encoding === 'identity' ? body : undefined
  body.on('error', (error) => unpacker.destroy(error))
  body.on('aborted', () => unpacker.destroy(new Error('aborted')))
  return body.pipe(unpacker)
}
