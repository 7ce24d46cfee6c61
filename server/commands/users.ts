import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import type { JsonValue, UserValue } from '#log-format/values.js'
import { checkUserName } from '#log-format/names.js'
import type { Caller } from '#server/auth/caller.js'
import type { Transaction } from '#server/storage/transaction.js'
import { secretNames } from '#server/storage/vault.js'
import { leaveGroups } from './groups.js'
import { requireUser } from './lookups.js'
import { removeIndexContents } from './index-contents.js'
import { authorize } from './rights.js'
import { removeTokens } from './tokens.js'

/** What proves a password, made before the transaction; `id` is new for every password. */
export interface Verifier {
  readonly verifier: string
  readonly id: string
}

/** Fields of a user that somebody may set; a falsy value removes the field. */
export interface UserFields {
  readonly email?: JsonValue
  readonly title?: JsonValue
  readonly description?: JsonValue
  readonly custom_data?: JsonValue
}

const FIELDS = ['email', 'title', 'description', 'custom_data'] as const

export interface CreateUser {
  readonly caller: Caller
  readonly user: string
  readonly fields: UserFields
  /** Undefined for a user that cannot log in. */
  readonly verifier: Verifier | undefined
}

/** Creates a user without indexes. Refuses `forbidden`, `conflict` for a name in use, `invalid` for a bad one. */
export async function createUser(tx: Transaction, input: CreateUser): Promise<UserValue> {
  const { user } = input
  await authorize(tx, input.caller, 'user-create', { user })
  if ((await tx.get(keys.user({ user }))) !== undefined) throw new Refusal('conflict', 'user already exists')
  checkUserName(user)

  const value: UserValue = { created: tx.time, ...present(input.fields) }
  tx.set(keys.user({ user }), value)
  // A verifier left by an earlier user of this name would let its tokens live on.
  if (input.verifier === undefined) tx.secrets.delete(secretNames.user(user))
  else tx.secrets.set(secretNames.user(user), { ...input.verifier })
  tx.record({ kind: 'user-created', user })
  return value
}

export interface ModifyUser {
  readonly caller: Caller
  readonly user: string
  readonly fields: UserFields
  readonly verifier: Verifier | undefined
  /** API tokens outlive a change of password, but for who asks: `revoke`. */
  readonly apiTokens?: 'keep' | 'revoke'
}

/**
 * Changes the fields given, and the password when a verifier is. Refuses
 * `not-found` and `forbidden`. A new password ends all login tokens of the user.
 */
export async function modifyUser(tx: Transaction, input: ModifyUser): Promise<UserValue> {
  const { user, fields: given, verifier } = input
  const before = await requireUser(tx, { user })
  const changed = FIELDS.filter((field) => Object.hasOwn(given, field) && !sameField(before[field], given[field]))
  const revokes = input.apiTokens === 'revoke'
  const onlySecrets = changed.length === 0 && (verifier !== undefined || revokes)
  await authorize(tx, input.caller, onlySecrets ? 'user-modify-password' : 'user-modify', { user })
  const revoked = revokes ? await removeTokens(tx, { user }) : []
  if (changed.length === 0 && verifier === undefined && revoked.length === 0) return before

  const kept = { ...before, ...given }
  const value: UserValue = { created: before.created, modified: tx.time, ...present(kept) }
  tx.set(keys.user({ user }), value)
  if (verifier !== undefined) tx.secrets.set(secretNames.user(user), { ...verifier })
  const fields = verifier === undefined ? changed : [...changed, 'password']
  tx.record({ kind: 'user-modified', user, fields, ...(revoked.length > 0 && { revoked }) })
  return value
}

/** Removes a user with all indexes, API tokens and memberships. Refuses `forbidden`, also when one of them is not volatile, and `not-found`. */
export async function deleteUser(tx: Transaction, input: { readonly caller: Caller; readonly user: string }): Promise<void> {
  const { user } = input
  await authorize(tx, input.caller, 'user-delete', { user })
  await requireUser(tx, { user })
  const indexes: string[] = []
  for await (const { segments, value } of tx.scan(keys.index.under(user))) {
    const { index } = keys.index.params(segments)
    if (!value.volatile) throw new Refusal('forbidden', `user '${user}' has non-volatile index: ${index}`)
    indexes.push(index)
  }
  for (const index of indexes) await removeIndexContents(tx, { user, index })
  await removeTokens(tx, { user })
  await leaveGroups(tx, { user })
  for await (const { segments } of tx.scan(keys.renamed.under(user))) tx.delete(keys.renamed(keys.renamed.params(segments)))
  tx.delete(keys.user({ user }))
  tx.secrets.delete(secretNames.user(user))
  tx.record({ kind: 'user-deleted', user })
}

/** The fields that hold something. */
function present(fields: UserFields): UserFields {
  return Object.fromEntries(
    FIELDS.flatMap((field) => (isEmpty(fields[field]) ? [] : [[field, fields[field]]])),
  )
}

function sameField(a: JsonValue | undefined, b: JsonValue | undefined): boolean {
  return (isEmpty(a) && isEmpty(b)) || JSON.stringify(a) === JSON.stringify(b)
}

function isEmpty(value: JsonValue | undefined): boolean {
  if (value === undefined || value === null || value === '' || value === false || value === 0) return true
  return typeof value === 'object' && Object.keys(value).length === 0
}
