import { indexesHaving, mirrorsAreOpen, shows } from './inherited-stage.js'
import { snapshotOf } from './live-project.js'
import type { OpenStage } from './open-stage.js'
import type { Contribution } from './policies.js'
import { type ProjectFile, readProjectFiles } from './project-files.js'

/** What each index of a stage would add to the page of a project if there were no policies, as the reader of the stage shows it. */
export async function readContributions(stage: OpenStage, project: string): Promise<Contribution[]> {
  const found: Contribution[] = []
  const having = await indexesHaving(stage, project)
  const isOpen = mirrorsAreOpen(stage, project, having)
  for (const { user, index } of having.filter((one) => shows(stage, one, isOpen))) {
    const files = await readProjectFiles(stage.reader, { user, index, project })
    if (files !== undefined) found.push({ ref: { user, index }, snapshot: snapshotOf(files) })
  }
  return found
}

/** The files of a page: of each name the one of the first index that has it. */
export function* filesShown(contributions: readonly Contribution[]): Generator<{ readonly of: Contribution; readonly file: ProjectFile }> {
  const taken = new Set<string>()
  for (const contribution of contributions) {
    const own: string[] = []
    for (const run of contribution.snapshot.runs) {
      for (const file of run.files) {
        if (taken.has(file.basename)) continue
        own.push(file.basename)
        yield { of: contribution, file }
      }
    }
    for (const name of own) taken.add(name)
  }
}
