import { keys } from '#log-format/keys.js'
import { docsBasename, findVersion, listVersionsOf, type VersionRef } from '#server/commands/lookups.js'
import { isPrerelease } from '#log-format/version.js'
import type { Reader } from '#server/storage/reader.js'

/**
 * Digests of the documentation zips that answer for a version, the one to be
 * preferred first. `latest` and `stable` stand for every version of the index
 * itself that has one, the newest first; `stable` leaves out pre-releases.
 * Bases have their own addresses.
 */
export async function* docsBlobs(reader: Reader, wanted: VersionRef): AsyncGenerator<string> {
  for (const version of await versionsFor(reader, wanted)) {
    const ref = { ...wanted, version }
    const link = await reader.get(keys.link({ ...ref, basename: docsBasename(ref) }))
    if (link?.rel === 'doczip') yield link.sha256
  }
}

async function versionsFor(reader: Reader, wanted: VersionRef): Promise<string[]> {
  if (wanted.version === 'latest') return await listVersionsOf(reader, wanted)
  if (wanted.version === 'stable') return (await listVersionsOf(reader, wanted)).filter((version) => !isPrerelease(version))
  const found = await findVersion(reader, wanted)
  return found === undefined ? [] : [found.version]
}
