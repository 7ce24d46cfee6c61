import { keys } from '#log-format/keys.js'
import type { MetadataValue, VersionValue } from '#log-format/values.js'
import { findVersion, type IndexRef, type ProjectRef, type VersionRef } from '#server/commands/lookups.js'
import type { Reader } from '#server/storage/reader.js'
import { sortVersionsDescending, versionIdentity } from '#log-format/version.js'
import { mirroredReleases, type ReleasesOfIndex } from './mirrored-releases.js'
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

/**
 * Every version of a project that policies do not hide, the newest first. Spellings
 * that PEP 440 holds equal are one, the first index names it. Each index is read in one pass:
 * a scan for each version costs more than what is found.
 */
export async function listMergedReleases(stage: OpenStage, project: string, mirrored: readonly ReleasesOfIndex[]): Promise<Map<string, MergedRelease>> {
  const hosts = await Promise.all(hosted(stage).map((ref) => readReleases(stage, { ...ref, project })))
  const indexes = [...hosts, ...mirrored]
  const byIdentity = new Map<string, string>()
  for (const releases of indexes) {
    for (const [identity, { version }] of releases) if (!byIdentity.has(identity)) byIdentity.set(identity, version)
  }
  const found = new Map<string, MergedRelease>()
  for (const version of sortVersionsDescending(byIdentity.values())) {
    const identity = versionIdentity(version)
    const merged = merge(stage, indexes.map((releases) => releases.get(identity)))
    if (merged !== undefined) found.set(version, merged)
  }
  return found
}

/** What an index that has releases of its own has of a project. */
async function readReleases({ reader }: OpenStage, ref: ProjectRef): Promise<ReleasesOfIndex> {
  const of = [ref.user, ref.index, ref.project] as const
  const [links, metadata] = await Promise.all([readLinks(reader, of), readMetadata(reader, of)])
  const found = new Map<string, Release>()
  for await (const { segments, value } of reader.scan(keys.version.under(...of))) {
    const { version } = keys.version.params(segments)
    found.set(versionIdentity(version), releaseOf({ ...ref, version }, value, metadata.get(version), links.get(version) ?? []))
  }
  return found
}

/** Links by version, of all versions below these segments. */
async function readLinks(reader: Reader, of: readonly string[]): Promise<Map<string, StageLink[]>> {
  const found = new Map<string, StageLink[]>()
  for await (const { segments, value } of reader.scan(keys.link.under(...of))) {
    const { basename, ...version } = keys.link.params(segments)
    const link = { ...version, basename, link: { ...value, hashes: { sha256: value.sha256 } } }
    const others = found.get(version.version)
    if (others === undefined) found.set(version.version, [link])
    else others.push(link)
  }
  return found
}

async function readMetadata(reader: Reader, of: readonly string[]): Promise<Map<string, MetadataValue>> {
  const found = new Map<string, MetadataValue>()
  for await (const { segments, value } of reader.scan(keys.metadata.under(...of))) found.set(keys.metadata.params(segments).version, value)
  return found
}

function releaseOf(ref: VersionRef, value: VersionValue | undefined, metadata: MetadataValue | undefined, links: readonly StageLink[]): Release {
  return { ...ref, metadata: metadata ?? {}, yanked: value?.yanked, links: [...links].sort((a, b) => a.link.order - b.link.order) }
}

/** One version; undefined when no index of the stage has it, or policies hide all of its files. */
export async function findMergedRelease(
  stage: OpenStage,
  project: string,
  version: string,
  mirrored: readonly ReleasesOfIndex[],
): Promise<MergedRelease | undefined> {
  const hosts = await Promise.all(hosted(stage).map((ref) => readRelease(stage, { ...ref, project, version })))
  const identity = versionIdentity(version)
  return merge(stage, [...hosts, ...mirrored.map((releases) => releases.get(identity))])
}

/** One version out of what each index has of it, in resolution order. */
function merge(stage: OpenStage, releases: readonly (Release | undefined)[]): MergedRelease | undefined {
  const hidden = new Set<string>()
  const [release, ...shadowed] = releases.flatMap((found) => (found && withoutHidden(stage, found, hidden)) ?? [])
  return release && { release, shadowed }
}

async function readRelease({ reader }: OpenStage, wanted: VersionRef): Promise<Release | undefined> {
  const found = await findVersion(reader, wanted)
  if (found === undefined) return undefined
  const { value, ...ref } = found
  const links = await readLinks(reader, [ref.user, ref.index, ref.project, ref.version])
  return releaseOf(ref, value, await reader.get(keys.metadata(ref)), links.get(ref.version) ?? [])
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
