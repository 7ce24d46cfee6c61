import type { ArchiveSource } from '#server/packaging/archive-source.js'
import { boundedBody } from './bounded-body.js'
import type { Upstream, UpstreamClient, UpstreamReply } from './client.js'
import { type ContentRange, contentRangeOf, strongEtagOf } from './content-range.js'

export interface WantedRanges {
  readonly upstream: Upstream
  readonly url: string
  /** In bytes, as announced. */
  readonly size?: number
  readonly signal: AbortSignal
}

/** The server does not give parts of the file, or none that are to be believed: all of it has to be fetched. */
export class NoRanges extends Error {}

/** Holds the list of files of most wheels, and the metadata before it. */
const TAIL_BYTES = 64 * 1024
/** Asked for at least: a member of an archive comes together with the header before it. */
const PIECE_BYTES = 16 * 1024
/** For one archive. */
const MOST_REQUESTS = 12
const MOST_BYTES = 8 * 1024 * 1024

/**
 * A file of an upstream to be read in parts (RFC 9110, section 14), from its
 * end: few requests and few bytes, however large it is. What comes is believed
 * only from the very origin of the upstream, and only while the file has one size and one
 * validator. Throws {@link NoRanges}, also while it is read; refuses `upstream-failed`.
 */
export async function openRanges(client: UpstreamClient, wanted: WantedRanges): Promise<ArchiveSource> {
  const file = new RangedFile(client, wanted)
  const size = await file.open()
  return { size, read: (buffer, position) => file.read(buffer, position) }
}

/** A part of a file that was fetched. */
interface Piece {
  readonly start: number
  readonly bytes: Buffer
}

class RangedFile {
  readonly #client: UpstreamClient
  readonly #wanted: WantedRanges
  readonly #pieces: Piece[] = []
  #size = 0
  #validator: string | undefined
  #requests = 0
  #bytes = 0

  constructor(client: UpstreamClient, wanted: WantedRanges) {
    this.#client = client
    this.#wanted = wanted
  }

  async open(): Promise<number> {
    const { size: announced, url, upstream } = this.#wanted
    if (new URL(url).origin !== upstream.url.origin) throw new NoRanges(`${url} lies at another place than its upstream`)
    const { reply, range } = await this.#ask(`bytes=-${TAIL_BYTES}`)
    this.#size = range.size
    this.#validator = strongEtagOf(reply) ?? reply.headers['last-modified']
    const isTail = range.end === range.size && range.start === Math.max(0, range.size - TAIL_BYTES)
    if (!isTail || (announced !== undefined && announced !== range.size)) throw refused(reply, 'another part of another file')
    await this.#take(reply, range)
    return range.size
  }

  async read(buffer: Uint8Array, position: number): Promise<number> {
    const end = Math.min(this.#size, position + buffer.length)
    if (end <= position) return 0
    const held = this.#pieces.find(({ start, bytes }) => start <= position && end <= start + bytes.length)
    const piece = held ?? (await this.#fetch(position, Math.min(this.#size, Math.max(end, position + PIECE_BYTES))))
    return piece.bytes.copy(buffer, 0, position - piece.start, end - piece.start)
  }

  async #fetch(start: number, end: number): Promise<Piece> {
    const { reply, range } = await this.#ask(`bytes=${start}-${end - 1}`)
    if (range.start !== start || range.end !== end || range.size !== this.#size) throw refused(reply, 'another part than asked for')
    return this.#take(reply, range)
  }

  async #ask(range: string): Promise<{ readonly reply: UpstreamReply; readonly range: ContentRange }> {
    const { upstream, url, signal } = this.#wanted
    this.#requests += 1
    if (this.#requests > MOST_REQUESTS) throw new NoRanges(`more than ${MOST_REQUESTS} parts are needed`)
    const headers = { accept: '*/*', 'accept-encoding': 'identity', range, ...(this.#validator !== undefined && { 'if-range': this.#validator }) }
    const reply = await this.#client.open({ upstream, url: new URL(url), headers, signal })
    const found = contentRangeOf(reply)
    if (reply.url.origin !== upstream.url.origin) throw refused(reply, 'a part from another place')
    if (found === undefined) throw refused(reply, `${reply.status} to who asks for a part`)
    return { reply, range: found }
  }

  async #take({ body, url }: UpstreamReply, { start, end }: ContentRange): Promise<Piece> {
    this.#bytes += end - start
    if (this.#bytes > MOST_BYTES) {
      body.destroy()
      throw new NoRanges(`more than ${MOST_BYTES} bytes are needed`)
    }
    const bytes = await boundedBody(body, end - start)
    if (bytes?.length !== end - start) throw new NoRanges(`${url.host} sent another number of bytes than it said, or broke off`)
    const piece = { start, bytes }
    this.#pieces.push(piece)
    return piece
  }
}

function refused({ body, url }: UpstreamReply, what: string): NoRanges {
  body.destroy()
  return new NoRanges(`${url.host} answers with ${what}`)
}
