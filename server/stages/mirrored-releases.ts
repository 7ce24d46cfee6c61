import { keys } from '#log-format/keys.js'
import { versionIdentity } from '#log-format/version.js'
import type { MirrorFileValue, ProjectValue } from '#log-format/values.js'
import type { ProjectRef } from '#server/commands/lookups.js'
import { type AskedMirror, asMirror, enteredAt } from '#server/commands/mirrors.js'
import { indexesHaving, mirrorsAreOpen, shows } from './inherited-stage.js'
import type { OpenStage } from './open-stage.js'
import type { IsStored } from './stored-only.js'
import type { Release, StageLink } from './release.js'

/** What one index has of a project, by the identity of the version. */
export type ReleasesOfIndex = ReadonlyMap<string, Release>

/**
 * What the mirrors of a stage add to a project, in resolution order: nothing to
 * a private name, and only files for which `isStored` holds, if it is given.
 */
export async function mirroredReleases(stage: OpenStage, project: string, isStored?: IsStored): Promise<readonly ReleasesOfIndex[]> {
  if (!stage.order.some(({ value }) => value.type === 'mirror')) return []
  const having = await indexesHaving(stage, project)
  const isOpen = mirrorsAreOpen(stage, project, having)
  const mirrors = having.filter((found) => shows(stage, found, isOpen)).flatMap((found) => asMirror(found) ?? [])
  return Promise.all(mirrors.map((mirror) => releasesOf(stage, { mirror, project }, isStored)))
}

async function releasesOf({ reader }: OpenStage, { mirror, project }: { readonly mirror: AskedMirror; readonly project: string }, isStored: IsStored | undefined): Promise<ReleasesOfIndex> {
  const { user, index } = mirror
  const ref = { user, index, project }
  const known = await reader.get(keys.project(ref))
  if (known === undefined) return new Map()
  const files = new Map<string, [string, MirrorFileValue][]>()
  for await (const { segments, value } of reader.scan(keys.mirrorFile.under(user, index, project))) {
    if (value.gone !== undefined) continue
    if (isStored !== undefined && (value.sha256 === undefined || !(await isStored(mirror, value.sha256)))) continue
    const identity = versionIdentity(value.version)
    const others = files.get(identity)
    if (others === undefined) files.set(identity, [[segments[3] ?? '', value]])
    else others.push([segments[3] ?? '', value])
  }
  return new Map([...files].map(([identity, found]) => [identity, releaseOf(ref, known, found)]))
}

/** A mirror knows of a release what the page of its upstream says of the files. */
function releaseOf(ref: ProjectRef, project: ProjectValue, files: readonly [string, MirrorFileValue][]): Release {
  const version = files[0]?.[1].version ?? ''
  const requiresPython = files.find(([, file]) => file.requiresPython !== undefined)?.[1].requiresPython
  const isYanked = files.every(([, { yanked }]) => yanked !== undefined)
  return {
    ...ref,
    version,
    metadata: { name: ref.project, version, ...(requiresPython !== undefined && { requires_python: requiresPython }) },
    yanked: isYanked ? files[0]?.[1].yanked : undefined,
    links: files.map(([basename, file], order) => ({ ...ref, version, basename, link: linkOf(file, enteredAt(file, project), order) })),
  }
}

function linkOf({ dir, sha256, md5, yanked }: MirrorFileValue, time: number, order: number): StageLink['link'] {
  return {
    rel: 'releasefile',
    dir,
    order,
    time,
    hashes: sha256 !== undefined ? { sha256 } : md5 !== undefined ? { md5 } : {},
    ...(yanked !== undefined && { yanked }),
  }
}
