import type { SimulatedProjectJson } from '#log-format/api/why.js'
import type { PolicySettings } from '#server/packaging/release-policy.js'
import { filesShown, readContributions } from './contributions.js'
import { hiddenFileJson } from './explain.js'
import type { OpenStage } from './open-stage.js'
import { applyPolicies, type Contribution, policiesWith } from './policies.js'

/** Hidden files of one project that are told of one by one. */
const MOST_HIDDEN = 50

/** What became of a project, and how many files were looked at to know. */
export interface Simulated {
  readonly project: SimulatedProjectJson
  readonly looked: number
}

/** What the page of a project would lose and gain if the index had these settings instead of its own policy. Asks no upstream. */
export async function simulatePolicy(stage: OpenStage, project: string, settings: PolicySettings, now: number): Promise<Simulated> {
  const contributions = await readContributions(stage, project)
  const present = namesShown(applyPolicies(stage.policies, project, contributions).contributions)
  const { contributions: then, hidden } = applyPolicies(policiesWith(stage, settings, now), project, contributions)
  const future = namesShown(then)
  const lost = hidden.filter(({ basename }) => present.files.has(basename))
  return {
    looked: contributions.reduce((sum, { snapshot }) => sum + snapshot.fileCount, 0),
    project: {
      project,
      files: present.files.size,
      hides: lost.length,
      shows: [...future.files].filter((name) => !present.files.has(name)).length,
      newest: { now: present.newest, then: future.newest },
      hidden: lost.slice(0, MOST_HIDDEN).map(hiddenFileJson),
    },
  }
}

function namesShown(contributions: readonly Contribution[]): { readonly files: ReadonlySet<string>; readonly newest: string | null } {
  const files = new Set<string>()
  let newest: { readonly version: string; readonly versionKey: string } | undefined
  for (const { file } of filesShown(contributions)) {
    files.add(file.basename)
    if (newest === undefined || file.versionKey > newest.versionKey) newest = file
  }
  return { files, newest: newest?.version ?? null }
}
