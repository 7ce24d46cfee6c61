import type { Refusal } from '#log-format/api/refusal.js'
import { indexName } from '#server/commands/lookups.js'
import type { UpstreamNames } from '#server/stages/listed-names.js'
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

/** What the upstreams of a stage list, as far as it can be had. */
export interface UpstreamLists {
  readonly names: UpstreamNames
  /** Digests of the lists. */
  readonly digests: readonly string[]
  /** Why one of them may be stale or is missing. */
  readonly failure: Refusal | undefined
}

/** Finds the lists of the mirrors of a stage. Refuses `upstream-failed` where the stage is a mirror itself, and nothing is known of its list. */
export async function askForLists(deps: Deps, stage: OpenStage): Promise<UpstreamLists> {
  const names = new Map<string, () => AsyncGenerator<readonly string[]>>()
  const digests: string[] = []
  let failure: Refusal | undefined
  const mirrors = stage.order.flatMap((found) => asMirror(found) ?? [])
  const states = await Promise.all(mirrors.map((mirror) => deps.mirrorNames.ensure(mirror)))
  for (const [at, { list, failure: fault }] of states.entries()) {
    const mirror = mirrors[at]
    failure ??= fault
    digests.push(list?.digest ?? '')
    if (mirror !== undefined && list !== undefined) names.set(indexName(mirror), () => deps.mirrorNames.read(list))
  }
  if (failure?.kind === 'upstream-failed' && names.size === 0 && stage.value.type === 'mirror') throw failure
  return { names, digests, failure }
}

/** Has every mirror of a stage that may be asked for the project ask anew. Refuses `upstream-failed` when one fails. */
export async function renewUpstreams(deps: Deps, stage: OpenStage, project: string): Promise<void> {
  for (const found of await mirrorsToAsk(stage, project)) {
    const mirror = asMirror(found)
    const state = mirror && (await deps.mirrors.renew(mirror, project))
    if (state?.kind === 'failed') throw state.refusal
  }
}
