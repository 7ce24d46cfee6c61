import { keys } from '#log-format/keys.js'
import { findVersion, type IndexRef, type VersionRef } from '#server/commands/lookups.js'
import { sortVersionsDescending, versionIdentity } from '#log-format/version.js'
import { type MirroredReleases, mirroredReleases } from './mirrored-releases.js'
import type { OpenStage } from './open-stage.js'
import { judgeOn } from './policies.js'
import type { Release, StageLink } from './release.js'
import type { IsStored } from './stored-only.js'

/** A version as a stage shows it: of the first index that has it, with what later ones have of the same. */
export interface MergedRelease {
  readonly release: Release
  readonly shadowed: readonly Release[]
}

/** Whether any index of the stage has the project; a mirror, if `isStored` is given, only with a file for which it holds. */
export async function hasProject(stage: OpenStage, project: string, isStored?: IsStored): Promise<boolean> {
  if (isStored !== undefined && (await mirroredReleases(stage, project, isStored)).some(({ size }) => size > 0)) return true
  for (const { user, index, value } of stage.order) {
    if (isStored !== undefined && value.type === 'mirror') continue
    if ((await stage.reader.get(keys.project({ user, index, project }))) !== undefined) return true
  }
  return false
}

/** Every version of a project, the newest first. Spellings that PEP 440 holds equal are one, the first index names it. */
export async function listVersions(stage: OpenStage, project: string, mirrored: readonly MirroredReleases[]): Promise<string[]> {
  const byIdentity = new Map<string, string>()
  for (const { user, index } of hosted(stage)) {
    for await (const { segments } of stage.reader.scan(keys.version.under(user, index, project))) {
      const { version } = keys.version.params(segments)
      const identity = versionIdentity(version)
      if (!byIdentity.has(identity)) byIdentity.set(identity, version)
    }
  }
  for (const releases of mirrored) {
    for (const [identity, { version }] of releases) if (!byIdentity.has(identity)) byIdentity.set(identity, version)
  }
  return sortVersionsDescending(byIdentity.values())
}

/** One version; undefined when no index of the stage has it, or policies hide all of its files. */
export async function findMergedRelease(
  stage: OpenStage,
  project: string,
  version: string,
  mirrored: readonly MirroredReleases[],
): Promise<MergedRelease | undefined> {
  const found: Release[] = []
  const hidden = new Set<string>()
  const hosts = await Promise.all(hosted(stage).map((ref) => readRelease(stage, { ...ref, project, version })))
  const identity = versionIdentity(version)
  for (const release of [...hosts, ...mirrored.map((releases) => releases.get(identity))]) {
    const shown = release && withoutHidden(stage, release, hidden)
    if (shown !== undefined) found.push(shown)
  }
  const [release, ...shadowed] = found
  return release && { release, shadowed }
}

async function readRelease({ reader }: OpenStage, wanted: VersionRef): Promise<Release | undefined> {
  const ref = await findVersion(reader, wanted)
  if (ref === undefined) return undefined
  const version = { user: ref.user, index: ref.index, project: ref.project, version: ref.version }
  const links: StageLink[] = []
  for await (const { segments, value } of reader.scan(keys.link.under(...Object.values(version)))) {
    links.push({ ...version, basename: keys.link.params(segments).basename, link: { ...value, hashes: { sha256: value.sha256 } } })
  }
  return {
    ...version,
    metadata: (await reader.get(keys.metadata(version))) ?? {},
    yanked: (await reader.get(keys.version(version)))?.yanked,
    links: links.sort((a, b) => a.link.order - b.link.order),
  }
}

/**
 * The release without the files that policies hide and what is told of them;
 * undefined when they hide all of it. A hidden name joins `hidden`, and stays
 * hidden on the indexes behind as it does on pages.
 */
function withoutHidden(stage: OpenStage, release: Release, hidden: Set<string>): Release | undefined {
  if (stage.policies === undefined) return release
  const judge = judgeOn(stage.policies, release, release.project)
  const files = release.links.filter(({ link }) => link.rel === 'releasefile')
  for (const { basename, version, link } of files) {
    if (judge !== undefined && judge({ version, entered: link.time }).rules.length > 0) hidden.add(basename)
  }
  const isHidden = files.length > 0 ? files.every(({ basename }) => hidden.has(basename)) : judge !== undefined && judge({ version: release.version, entered: -Infinity }).rules.length > 0
  if (isHidden) return undefined
  return { ...release, links: release.links.filter(({ basename, link }) => !hidden.has(basename) && (link.forFile === undefined || !hidden.has(link.forFile))) }
}

/** The indexes that have releases of their own. */
function hosted(stage: OpenStage): IndexRef[] {
  return stage.order.filter(({ value }) => value.type === 'stage').map(({ user, index }) => ({ user, index }))
}
