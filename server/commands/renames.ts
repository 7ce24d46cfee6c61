import { Refusal } from '#log-format/api/refusal.js'
import type { KeyPattern } from '#log-format/key-pattern.js'
import { keys } from '#log-format/keys.js'
import { checkIndexName } from '#log-format/names.js'
import type { IndexValue } from '#log-format/values.js'
import type { Caller } from '#server/auth/caller.js'
import type { Transaction } from '#server/storage/transaction.js'
import { secretNames } from '#server/storage/vault.js'
import { placeIndex } from './indexes.js'
import { indexName, type IndexRef, requireIndex } from './lookups.js'
import { authorize } from './rights.js'

export interface RenameIndex extends IndexRef {
  readonly caller: Caller
  /** The new name, of the same user's index. */
  readonly to: string
}

export interface RenamedIndex {
  readonly value: IndexValue
  /** Indexes that had it among their bases, as `user/index` by their names of now. */
  readonly followed: readonly string[]
}

/**
 * Moves an index with everything on it to another name. Its old name leads
 * there until another index gets it, and indexes that inherit from it go on
 * doing so. Refuses `not-found`, `forbidden`, `invalid` names, and `conflict`
 * for a name in use.
 */
export async function renameIndex(tx: Transaction, input: RenameIndex): Promise<RenamedIndex> {
  const { user, index, to, caller } = input
  const from = { user, index }
  const target = { user, index: to }
  const value = await requireIndex(tx, from)
  await authorize(tx, caller, 'index-rename', { user, index: value, indexName: index })
  await authorize(tx, caller, 'index-create', { user, indexName: to })
  checkIndexName(to)
  if (to === index) throw new Refusal('invalid', `index ${indexName(from)} has that name already`)
  if ((await tx.get(keys.index(target))) !== undefined) throw new Refusal('conflict', `index '${indexName(target)}' exists`)

  tx.delete(keys.index(from))
  placeIndex(tx, target, value)
  tx.set(keys.renamed(from), { to })
  await moveKeys(tx, keys.project, from, target)
  await moveKeys(tx, keys.version, from, target)
  await moveKeys(tx, keys.metadata, from, target)
  await moveKeys(tx, keys.spelling, from, target)
  await moveKeys(tx, keys.link, from, target)
  await moveKeys(tx, keys.file, from, target)
  await moveKeys(tx, keys.mirrorFile, from, target)
  await moveKeys(tx, keys.mirrorPath, from, target)
  moveCredentials(tx, from, target)
  const followed = await rewriteBases(tx, indexName(from), indexName(target))
  tx.record({ kind: 'index-renamed', user, index, to, followed })
  return { value: (await tx.get(keys.index(target))) ?? value, followed }
}

async function moveKeys<P extends string, V>(
  tx: Transaction,
  pattern: KeyPattern<P, V>,
  from: IndexRef,
  to: IndexRef,
): Promise<void> {
  for await (const { segments, value } of tx.scan(pattern.under(from.user, from.index))) {
    const [, , ...rest] = segments
    tx.delete(pattern(pattern.params(segments)))
    tx.set(pattern(pattern.params([to.user, to.index, ...rest])), value)
  }
}

function moveCredentials(tx: Transaction, from: IndexRef, to: IndexRef): void {
  const name = secretNames.upstream(from.user, from.index)
  const secret = tx.secrets.get(name)
  if (secret === undefined) return
  tx.secrets.delete(name)
  tx.secrets.set(secretNames.upstream(to.user, to.index), secret)
}

/** Puts the new name in place of the old one wherever an index names it as a base. */
async function rewriteBases(tx: Transaction, before: string, after: string): Promise<string[]> {
  const followed: string[] = []
  for await (const { segments, value } of tx.scan(keys.index.under())) {
    if (value.type !== 'stage' || !value.bases.includes(before)) continue
    const ref = keys.index.params(segments)
    const bases = [...new Set(value.bases.map((base) => (base === before ? after : base)))]
    tx.set(keys.index(ref), { ...value, bases })
    followed.push(indexName(ref))
  }
  return followed
}
