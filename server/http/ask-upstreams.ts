import type { Refusal } from '#log-format/api/refusal.js'
import { indexName } from '#server/commands/lookups.js'
import { mirrorsToAsk } from '#server/stages/inherited-stage.js'
import type { OpenStage } from '#server/stages/open-stage.js'
import { asMirror, type Freshness } from '#server/stages/refresh-mirror.js'
import type { Deps } from './deps.js'

/** What upstreams said during one request, so that none is asked twice for it. */
export type AskedMirrors = Map<string, Freshness>

export interface UpstreamsState {
  /** Until then, in ms since the epoch, none of them need be asked again. */
  readonly freshUntil: number
  /** Why what is stored of one of them may be stale. */
  readonly failure: Refusal | undefined
}

/** Brings the mirrors of a stage up to date with their upstreams, as far as those may be asked for the project and answer. */
export async function askUpstreams(deps: Deps, stage: OpenStage, project: string, asked: AskedMirrors): Promise<UpstreamsState> {
  let freshUntil = Infinity
  let failure: Refusal | undefined
  const mirrors = await mirrorsToAsk(stage, project)
  const states = await Promise.all(
    mirrors.map(async (found) => {
      const mirror = asMirror(found)
      const state = asked.get(indexName(found)) ?? (mirror && (await deps.mirrors.ensure(mirror, project)))
      if (state !== undefined) asked.set(indexName(found), state)
      return state
    }),
  )
  for (const state of states) {
    if (state?.kind === 'failed') failure ??= state.refusal
    freshUntil = Math.min(freshUntil, state === undefined || state.kind === 'failed' ? 0 : state.until)
  }
  return { freshUntil, failure }
}

/** Has every mirror of a stage that may be asked for the project ask anew. Refuses `upstream-failed` when one fails. */
export async function renewUpstreams(deps: Deps, stage: OpenStage, project: string): Promise<void> {
  for (const found of await mirrorsToAsk(stage, project)) {
    const mirror = asMirror(found)
    const state = mirror && (await deps.mirrors.renew(mirror, project))
    if (state?.kind === 'failed') throw state.refusal
  }
}
