import type { OpenStage } from '#server/stages/open-stage.js'

/** Placeholder of this commit's compile only. */
export interface ProjectPages {
  readonly stage?: OpenStage
}
