import { Refusal } from '#log-format/api/refusal.js'
import { parseSerial, type Serial } from '#log-format/serial.js'
import type { Upstream, UpstreamClient } from '#server/upstream/client.js'

export interface MirrorsOfPrimaryInput {
  /** May reach the primary, wherever it is. */
  readonly client: UpstreamClient
  readonly primary: URL
  /** Proves that this is a replica; new for each request. */
  readonly token: () => string
  /** Resolves when this node has an entry; rejects when the signal is aborted before. */
  readonly reached: (serial: Serial, signal: AbortSignal) => Promise<void>
}

export interface MirrorName {
  readonly user: string
  readonly index: string
}

/** With a token of a node in place of the password: somebody who may read what a replica of this server has anyway. */
export const REPLICA_USER = '+replica'

/**
 * The mirrors of a replica: it is the primary that asks upstreams, and stores
 * what they have, so that each of its nodes shows the same.
 */
export class MirrorsOfPrimary {
  readonly #input: MirrorsOfPrimaryInput

  constructor(input: MirrorsOfPrimaryInput) {
    this.#input = input
  }

  /**
   * Has the primary bring a project up to date, and resolves when this node
   * has it, too. `stale`: the primary could not reach the upstream, and shows what it has.
   * Refuses `upstream-failed` when the primary is not there, or has nothing to show.
   */
  async ask(mirror: MirrorName, project: string, signal: AbortSignal): Promise<'fresh' | 'stale' | 'absent'> {
    const { client, reached } = this.#input
    const upstream = this.upstream(mirror)
    const url = below(upstream.url, [project, ''])
    const reply = await client.open({ upstream, url, method: 'HEAD', headers: { accept: 'application/vnd.pypi.simple.v1+json' }, signal })
    reply.body.resume() // it has none, and the connection is good for the next question
    const { status, headers } = reply
    if (status === 404) return 'absent'
    if (status !== 200) throw new Refusal('upstream-failed', `the primary ${url.host} answered ${status} for mirror ${mirror.user}/${mirror.index}`)
    const serial = parseSerial(textOf(headers['x-devpi-serial']))
    if (serial !== undefined) await reached(serial, signal)
    return textOf(headers['cache-control']).includes('no-store') ? 'stale' : 'fresh'
  }

  /** To ask the primary with. */
  get client(): UpstreamClient {
    return this.#input.client
  }

  /** A mirror of the primary, to ask in place of its upstream. */
  upstream({ user, index }: MirrorName): Upstream {
    return { url: below(this.#primary(), [user, index, '+simple', '']), credentials: { username: REPLICA_USER, password: this.#input.token() } }
  }

  /** Where the primary has a file of a mirror; `path` is what the public path has behind the index. */
  fileUrl({ user, index }: MirrorName, path: readonly string[]): string {
    return below(this.#primary(), [user, index, ...path]).href
  }

  #primary(): URL {
    const url = new URL(this.#input.primary)
    if (!url.pathname.endsWith('/')) url.pathname += '/'
    return url
  }
}

function below(base: URL, segments: readonly string[]): URL {
  return new URL(segments.map(encodeURIComponent).join('/').replaceAll('%2B', '+'), base)
}

function textOf(header: string | readonly string[] | undefined): string {
  return typeof header === 'string' ? header : ''
}
