import { Refusal } from '#log-format/api/refusal.js'
import type { MirrorFileValue } from '#log-format/values.js'
import { versionIdentity } from '#log-format/version.js'
import { RecentMap } from '#server/auth/recent-map.js'
import type { AskedMirror } from '#server/commands/mirrors.js'
import type { ArchiveSource } from '#server/packaging/archive-source.js'
import { agreeOnIdentity } from '#server/packaging/core-metadata.js'
import { readCoreMetadata } from '#server/packaging/dist-archive.js'
import { normalizeProjectName } from '#server/packaging/project-name.js'
import type { UpstreamClient } from '#server/upstream/client.js'
import { NoRanges, openRanges } from '#server/upstream/range-source.js'
import { mirrorIdentity } from './mirror-identity.js'
import type { MirrorUpstream } from './mirror-upstreams.js'

/** A wheel as a mirror has it. */
export interface WheelInPlace {
  readonly mirror: AskedMirror
  readonly project: string
  readonly version: string
  readonly basename: string
  readonly content: Pick<MirrorFileValue, 'url' | 'sha256' | 'size'>
}

const TAIL_MS = 8000
/** Of what was read out of tails; most metadata has a few KiB. */
const MOST_KEPT = 500
const MOST_KEPT_BYTES = 64 * 1024

/**
 * Reads the metadata of wheels that are not stored here out of their tails,
 * by range requests, once for all who ask at a time.
 *
 * A tail cannot be held against the sha256 of its wheel. It is believed only
 * from the very origin of the upstream that told of the wheel: who could lie
 * about the tail there could as well announce another digest, or metadata of
 * his own. Pages therefore say of such metadata that it is there and state no
 * digest of it, nobody is told to keep it, and it comes out of the wheel
 * itself as soon as that is stored.
 */
export class WheelTails {
  readonly #client: UpstreamClient
  readonly #running = new Map<string, Promise<Uint8Array | undefined>>()
  readonly #kept = new RecentMap<Uint8Array>(MOST_KEPT)

  constructor(client: UpstreamClient) {
    this.#client = client
  }

  /** Undefined where the tail cannot be had, or does not hold what the name of the wheel promises. */
  async read(wheel: WheelInPlace, upstream: MirrorUpstream): Promise<Uint8Array | undefined> {
    const { url, sha256 = '' } = wheel.content
    const name = `${mirrorIdentity(wheel.mirror, upstream.name)}\0${url}\0${sha256}`
    const kept = this.#kept.get(name)
    if (kept !== undefined) return kept
    const running = this.#running.get(name)
    if (running !== undefined) return running
    const started = this.#read(wheel, upstream).finally(() => this.#running.delete(name))
    this.#running.set(name, started)
    const bytes = await started
    if (bytes !== undefined && bytes.length <= MOST_KEPT_BYTES) this.#kept.set(name, bytes)
    return bytes
  }

  async #read(wheel: WheelInPlace, upstream: MirrorUpstream): Promise<Uint8Array | undefined> {
    const { url, size } = wheel.content
    try {
      return await metadataIn(await openRanges(this.#client, { upstream, url, ...(size !== undefined && { size }), signal: AbortSignal.timeout(TAIL_MS) }), wheel)
    } catch (error) {
      if (error instanceof NoRanges || error instanceof Refusal) return undefined
      throw error
    }
  }
}

/** The metadata in a wheel. Refuses `invalid` a wheel that has none that can be read, or that of another release. */
export async function metadataIn(source: ArchiveSource, { basename, project, version }: Pick<WheelInPlace, 'basename' | 'project' | 'version'>): Promise<Uint8Array> {
  const archived = await readCoreMetadata(source, basename)
  if (archived.kind === 'absent') throw new Refusal('invalid', `'${basename}' is no wheel`)
  agreeOnIdentity(archived.metadata, { project, version }, { normalizeName: normalizeProjectName, canonicalVersion: versionIdentity })
  return archived.bytes
}
