import { keys } from '#log-format/keys.js'
import type { ProjectRef } from '#server/commands/lookups.js'
import type { OpenStage } from './open-stage.js'
import type { IndexInOrder } from './resolution-order.js'

/*
 * What keeps private names private: a mirror that is a base adds to a project
 * only if no private index of the resolution order has it, or the whitelist
 * opens it. Else anybody could publish a newer release under the same name.
 */

/** Whether mirrors may add to a project, and why. */
export interface MirrorsDecision {
  readonly isOpen: boolean
  /** Where the whitelists open it, if they do. */
  readonly openedBy?: IndexInOrder
  /** The private indexes that have it, as far as they were looked at. */
  readonly privateOn: readonly IndexInOrder[]
}

export function mirrorsAreOpen(stage: Pick<OpenStage, 'all' | 'value'>, project: string, having: readonly IndexInOrder[]): boolean {
  return decideMirrors(stage, project, having).isOpen
}

/**
 * Whether mirrors may be asked for the project, and add to it. `having` are
 * the indexes of the stage that have it, readable or not. Whitelists are
 * combined in resolution order, by union or intersection as the index asked
 * for has it; one that names the project as far as it was combined opens it,
 * whatever comes behind.
 */
export function decideMirrors(stage: Pick<OpenStage, 'all' | 'value'>, project: string, having: readonly IndexInOrder[]): MirrorsDecision {
  const inheritance = stage.value.type === 'stage' ? stage.value.mirror_whitelist_inheritance : 'union'
  let whitelist: ReadonlySet<string> | undefined
  const privateOn: IndexInOrder[] = []
  for (const found of stage.all) {
    if (found.value.type !== 'stage') continue
    const own = new Set(found.value.mirror_whitelist)
    whitelist = whitelist === undefined ? own : combine(whitelist, own, inheritance)
    if (whitelist.has(project) || whitelist.has('*')) return { isOpen: true, openedBy: found, privateOn }
    if (having.includes(found)) privateOn.push(found)
  }
  return { isOpen: privateOn.length === 0, privateOn }
}

/** The mirrors to be asked for a project: none for a private name, else those that the caller may read. */
export async function mirrorsToAsk(stage: OpenStage, project: string): Promise<IndexInOrder[]> {
  const mirrors = stage.order.filter(({ value }) => value.type === 'mirror')
  if (mirrors.length === 0) return []
  return mirrorsAreOpen(stage, project, await indexesHaving(stage, project)) ? mirrors : []
}

/** The indexes of a stage that have a project, also those that the caller may not read. */
export async function indexesHaving({ all, reader }: OpenStage, project: string): Promise<IndexInOrder[]> {
  const known = await Promise.all(all.map(({ user, index }) => reader.get(keys.project({ user, index, project } satisfies ProjectRef))))
  return all.filter((_, at) => known[at] !== undefined)
}

/** Whether an index of a stage adds what it has to the page of a project. */
export function shows({ order }: OpenStage, found: IndexInOrder, isOpen: boolean): boolean {
  return order.includes(found) && (isOpen || found.value.type === 'stage')
}

function combine(before: ReadonlySet<string>, own: ReadonlySet<string>, inheritance: 'union' | 'intersection'): ReadonlySet<string> {
  if (inheritance === 'union') return new Set([...before, ...own])
  return new Set([...before].filter((name) => own.has(name)))
}
