import type { TokenScope } from '#log-format/values.js'

/**
 * What tokens can be for, from the least on. Each allows itself alone, but
 * `admin`, which allows everything its user may do: who may change a password
 * or make tokens could get at the rest in any case.
 */
export const TOKEN_ACTIONS = ['read', 'upload', 'delete', 'admin'] as const

export type TokenAction = (typeof TOKEN_ACTIONS)[number]

/** Stands for all indexes, also those to come, and for what belongs to no index, such as users. */
export const ALL_INDEXES = '*'

/** What a scope is asked about: an action, and the index it concerns as `user/index`, if it concerns one. */
export interface ScopeQuestion {
  readonly action: TokenAction
  readonly index: string | undefined
}

export function coversIndex({ indexes }: TokenScope, { index }: ScopeQuestion): boolean {
  return indexes.includes(ALL_INDEXES) || (index !== undefined && indexes.includes(index))
}

export function coversAction({ actions }: TokenScope, { action }: ScopeQuestion): boolean {
  return actions.includes(action) || actions.includes('admin')
}

export function covers(scope: TokenScope, question: ScopeQuestion): boolean {
  return coversIndex(scope, question) && coversAction(scope, question)
}
