import type { DisagreementJson } from '#log-format/api/why.js'
import { keys } from '#log-format/keys.js'
import { indexName } from '#server/commands/lookups.js'
import { upstreamUrls } from '#server/commands/mirror-differences.js'
import type { AskedMirror } from '#server/commands/mirrors.js'
import type { Reader } from '#server/storage/reader.js'

/** Those that are told of one by one. */
const MOST_DISAGREEMENTS = 1000

/** Files of a project of which the upstreams of a mirror state different digests; one that is no upstream of it any more says nothing. */
export async function disagreementsOn(reader: Reader, mirror: AskedMirror, project: string): Promise<DisagreementJson[]> {
  const upstreams = upstreamUrls(mirror.value)
  const found: DisagreementJson[] = []
  for await (const { segments, value } of reader.scan(keys.mirrorFile.under(mirror.user, mirror.index, project))) {
    const { version, sha256, otherDigests = {} } = value
    const others = Object.entries(otherDigests).filter(([upstream]) => upstreams.includes(upstream)).map(([upstream, other]) => ({ upstream, sha256: other }))
    if (others.length === 0 || sha256 === undefined) continue
    found.push({ file: keys.mirrorFile.params(segments).basename, version, index: indexName(mirror), sha256, others })
    if (found.length >= MOST_DISAGREEMENTS) break
  }
  return found
}
