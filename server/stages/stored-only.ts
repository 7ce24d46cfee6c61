import { createHash } from 'node:crypto'
import { indexName, type IndexRef } from '#server/commands/lookups.js'
import type { FileRun, ProjectSnapshot } from './live-project.js'
import type { OpenStage } from './open-stage.js'
import type { Contribution } from './policies.js'

/** Whether the bytes of a mirrored file lie here. */
export type IsStored = (sha256: string) => Promise<boolean>

export interface StoredParts {
  readonly contributions: readonly Contribution[]
  /** Tells apart what was left out of equal contents. */
  readonly key: string
}

/** Takes off a page, or what it is made of, the files of mirrors that could not be served without their upstreams. */
export async function storedOnly(stage: Pick<OpenStage, 'all'>, contributions: readonly Contribution[], isStored: IsStored): Promise<StoredParts> {
  const mirrors = new Set(stage.all.filter(({ value }) => value.type === 'mirror').map(indexName))
  const hash = createHash('sha256')
  const shown: Contribution[] = []
  for (const contribution of contributions) {
    if (!mirrors.has(indexName(contribution.ref))) {
      shown.push(contribution)
      continue
    }
    const snapshot = await withStored(contribution.snapshot, isStored)
    if (snapshot.fileCount === 0) continue
    shown.push({ ...contribution, snapshot })
    hash.update(keyOf(contribution.ref, snapshot))
  }
  return { contributions: shown, key: hash.digest('base64url') }
}

async function withStored(snapshot: ProjectSnapshot, isStored: IsStored): Promise<ProjectSnapshot> {
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
