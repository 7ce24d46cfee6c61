import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import { checkIndexName, checkUserName } from '#log-format/names.js'
import type { TokenScope, TokenValue } from '#log-format/values.js'
import type { NewToken, TokenStore } from '#server/auth/api-tokens.js'
import type { Caller } from '#server/auth/caller.js'
import { ALL_INDEXES, TOKEN_ACTIONS, type TokenAction } from '#server/auth/token-scope.js'
import type { Storage } from '#server/storage/storage.js'
import type { Transaction } from '#server/storage/transaction.js'
import { secretNames } from '#server/storage/vault.js'
import { requireUser, type UserRef } from './lookups.js'
import { authorize } from './rights.js'

/** Of one user, expired ones included: more are a script that never revokes any. */
const MOST_TOKENS = 1000
const MOST_INDEXES = 100
const MAX_NAME_LENGTH = 100

export interface TokenRef extends UserRef {
  readonly id: string
}

export interface CreateToken extends UserRef {
  readonly caller: Caller
  /** Made before the transaction, for this very user. */
  readonly token: NewToken
  readonly name: string
  readonly scope: TokenScope
  /** ms since the epoch; undefined for a token without end. */
  readonly expires: number | undefined
}

/**
 * Makes a token good. The log gets its public part, the vault a hash. Refuses
 * `forbidden`, `not-found` for a missing user, `conflict` for a user with too
 * many tokens, and `invalid` for a name, scope or end that cannot be.
 */
export async function createToken(tx: Transaction, input: CreateToken): Promise<TokenValue> {
  const { user, token, name, expires } = input
  await authorize(tx, input.caller, 'token-create', { user })
  await requireUser(tx, { user })
  checkTokenName(name)
  const scope = checkedScope(input.scope)
  if (expires !== undefined && expires <= tx.time) throw new Refusal('invalid', 'expires must be in the future')
  await refuseTooMany(tx, user)

  const value: TokenValue = { name, ...scope, created: tx.time, ...(expires !== undefined && { expires }) }
  tx.set(keys.token({ user, id: token.id }), value)
  tx.secrets.set(secretNames.apiToken(token.id), token.secret)
  tx.record({ kind: 'token-created', user, id: token.id, name, ...scope, ...(expires !== undefined && { expires }) })
  return value
}

/** Ends a token: from this entry on it is as unknown as one that never was. Refuses `forbidden` and `not-found`. */
export async function revokeToken(tx: Transaction, input: TokenRef & { readonly caller: Caller }): Promise<TokenValue> {
  const { user, id } = input
  await authorize(tx, input.caller, 'token-revoke', { user })
  await requireUser(tx, { user })
  const value = await tx.get(keys.token({ user, id }))
  if (value === undefined) throw noSuchToken({ user, id })
  removeToken(tx, { user, id })
  tx.record({ kind: 'token-revoked', user, id, name: value.name })
  return value
}

/** Removes all tokens of a user and gives their ids; checks and records nothing. */
export async function removeTokens(tx: Transaction, { user }: UserRef): Promise<readonly string[]> {
  const ids: string[] = []
  for await (const { segments } of tx.scan(keys.token.under(user))) ids.push(keys.token.params(segments).id)
  for (const id of ids) removeToken(tx, { user, id })
  return ids
}

export function noSuchToken({ user, id }: TokenRef): Refusal {
  return new Refusal('not-found', `user '${user}' has no API token '${id}'`)
}

/** Tokens as they stand at head. */
export function storedTokens(storage: Storage): TokenStore {
  return {
    secretOf: (id) => storage.vault.get(secretNames.apiToken(id)),
    valueOf: (user, id) => storage.reader().get(keys.token({ user, id })),
  }
}

function removeToken(tx: Transaction, ref: TokenRef): void {
  tx.delete(keys.token(ref))
  tx.secrets.delete(secretNames.apiToken(ref.id))
}

function checkTokenName(name: string): void {
  if (name.trim() === '' || name.length > MAX_NAME_LENGTH || /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(name)) {
    throw new Refusal('invalid', `name must be 1 to ${MAX_NAME_LENGTH} visible characters, such as what the token is for`)
  }
}

/** Each action and index once, actions in the order of the table. */
function checkedScope({ actions, indexes }: TokenScope): TokenScope {
  const unknown = actions.find((action) => !isAction(action))
  if (unknown !== undefined || actions.length === 0) {
    const given = unknown === undefined ? '' : `, not '${unknown.slice(0, 40)}'`
    throw new Refusal('invalid', `actions must be some of ${TOKEN_ACTIONS.join(', ')}${given}`)
  }
  const distinct = [...new Set(indexes)]
  if (distinct.length === 0 || distinct.length > MOST_INDEXES) {
    throw new Refusal('invalid', `indexes must name 1 to ${MOST_INDEXES} indexes as user/index, or be ["${ALL_INDEXES}"] for all of them`)
  }
  if (distinct.includes(ALL_INDEXES)) {
    if (distinct.length > 1) throw new Refusal('invalid', `"${ALL_INDEXES}" stands for all indexes, so it must stand alone`)
  } else {
    distinct.forEach(checkIndexSpec)
  }
  return { actions: TOKEN_ACTIONS.filter((action) => actions.includes(action)), indexes: distinct }
}

function isAction(text: string): text is TokenAction {
  return TOKEN_ACTIONS.some((action) => action === text)
}

/** It need not exist: a token may be made before the index it is for. */
function checkIndexSpec(spec: string): void {
  const [user, index, ...rest] = spec.split('/')
  if (user === undefined || index === undefined || rest.length > 0) {
    throw new Refusal('invalid', `indexes must be named as user/index, not '${spec.slice(0, 80)}'`)
  }
  checkUserName(user)
  checkIndexName(index)
}

async function refuseTooMany(tx: Transaction, user: string): Promise<void> {
  let count = 0
  for await (const _ of tx.scan(keys.token.under(user))) count += 1
  if (count >= MOST_TOKENS) throw new Refusal('conflict', `user '${user}' has ${count} API tokens; revoke some of them first`)
}
