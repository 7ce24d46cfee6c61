import { createHash } from 'node:crypto'
import { indexName, type IndexRef } from '#server/commands/lookups.js'
import { type AskedMirror, asMirror } from '#server/commands/mirrors.js'
import type { FileRun, ProjectSnapshot } from './live-project.js'
import type { OpenStage } from './open-stage.js'
import type { Contribution } from './policies.js'

/** Whether the bytes of a file lie here that the mirror fetched. */
export type IsStored = (mirror: AskedMirror, sha256: string) => Promise<boolean>

export interface StoredParts {
  readonly contributions: readonly Contribution[]
  /** Tells apart what was left out of equal contents. */
  readonly key: string
}

/** Takes off a page, or what it is made of, the files of mirrors that could not be served without their upstreams. */
export async function storedOnly(stage: Pick<OpenStage, 'all'>, contributions: readonly Contribution[], isStored: IsStored): Promise<StoredParts> {
  const mirrors = new Map(stage.all.flatMap((found) => asMirror(found) ?? []).map((mirror) => [indexName(mirror), mirror]))
  const hash = createHash('sha256')
  const shown: Contribution[] = []
  for (const contribution of contributions) {
    const mirror = mirrors.get(indexName(contribution.ref))
    if (mirror === undefined) {
      shown.push(contribution)
      continue
    }
    const snapshot = await withStored(contribution.snapshot, (sha256) => isStored(mirror, sha256))
    if (snapshot.fileCount === 0) continue
    shown.push({ ...contribution, snapshot })
    hash.update(keyOf(contribution.ref, snapshot))
  }
  return { contributions: shown, key: hash.digest('base64url') }
}

async function withStored(snapshot: ProjectSnapshot, isStored: (sha256: string) => Promise<boolean>): Promise<ProjectSnapshot> {
  const runs: FileRun[] = []
  const versions = new Set<string>()
  for (const run of snapshot.runs) {
    const stored = await Promise.all(run.files.map(async ({ sha256 }) => sha256 !== undefined && (await isStored(sha256))))
    const files = run.files.filter((_, at) => stored[at])
    for (const { version } of files) versions.add(version)
    if (files.length > 0) runs.push({ files, rendered: new Map() })
  }
  const versionList = snapshot.versionList.filter(({ version }) => versions.has(version))
  return { runs, fileCount: runs.reduce((sum, { files }) => sum + files.length, 0), versions: new Map(versionList.map((one) => [one.version, one])), versionList }
}

function keyOf(ref: IndexRef, { runs }: ProjectSnapshot): string {
  return [indexName(ref), ...runs.flatMap(({ files }) => files.map(({ basename }) => basename)), ''].join('\0')
}
