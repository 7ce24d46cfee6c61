import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import { checkIndexName } from '#log-format/names.js'
import type { IndexValue, JsonValue } from '#log-format/values.js'
import type { Caller } from '#server/auth/caller.js'
import type { Reader } from '#server/storage/reader.js'
import type { Transaction } from '#server/storage/transaction.js'
import { removeIndexContents } from './index-contents.js'
import { applyOperations, changedIndexValue, newIndexValue, type RawSettings, settingsOf } from './index-settings.js'
import { indexName, type IndexRef, requireIndex, requireUser } from './lookups.js'
import { authorize } from './rights.js'
import { withoutCredentials } from './upstream-credentials.js'

interface OnIndex extends IndexRef {
  readonly caller: Caller
}

/**
 * Creates an index. Refuses `not-found` for a missing user, `forbidden`,
 * `conflict` for an index that exists, and `invalid` settings.
 */
export async function createIndex(
  tx: Transaction,
  input: OnIndex & { readonly settings: RawSettings },
): Promise<IndexValue> {
  const { user, index } = input
  await checkNewIndex(tx, input)
  const value = await newIndex(tx, input, input.settings, [])
  placeIndex(tx, input, value)
  tx.record({ kind: 'index-created', user, index, settings: settingsOf(value) })
  return value
}

/** Refuses who may not create this index, and a name in use. */
export async function checkNewIndex(reader: Reader, input: OnIndex): Promise<void> {
  const { user, index, caller } = input
  await requireUser(reader, input)
  await authorize(reader, caller, 'index-create', { user, indexName: index })
  if ((await reader.get(keys.index(input))) !== undefined) {
    throw new Refusal('conflict', `index '${indexName(input)}' exists`)
  }
}

/** The value of an index out of its settings; `mayDangle` are bases that may be gone. Refuses `invalid`. */
export async function newIndex(
  tx: Transaction,
  ref: IndexRef,
  settings: RawSettings,
  mayDangle: readonly string[],
): Promise<IndexValue> {
  const value = newIndexValue(settings, ref.user, tx.time)
  checkIndexName(ref.index)
  if (value.type === 'mirror' && value.mirror_url === undefined) {
    throw new Refusal('invalid', 'a mirror index needs a mirror_url, the simple index page of its upstream')
  }
  await checkBases(tx, value, mayDangle)
  return withoutCredentials(tx, ref, value, undefined)
}

/** Gives an index its name, which from now on leads nowhere else. */
export function placeIndex(tx: Transaction, ref: IndexRef, value: IndexValue): void {
  tx.set(keys.index(ref), value)
  tx.delete(keys.renamed(ref))
}

/** Settings to lay over those there are, or operations such as `bases+=user/index` on them. */
export type IndexChanges =
  | { readonly kind: 'settings'; readonly settings: RawSettings }
  | { readonly kind: 'operations'; readonly operations: readonly JsonValue[] }

/** Changes settings of an index. Refuses `not-found`, `forbidden`, `invalid`, and on demand a change that changes nothing. */
export async function modifyIndex(
  tx: Transaction,
  input: OnIndex & { readonly changes: IndexChanges; readonly refuseNoop: boolean },
): Promise<IndexValue> {
  const { user, index, caller, changes } = input
  const before = await requireIndex(tx, input)
  await authorize(tx, caller, 'index-modify', { user, index: before, indexName: index })
  const raw = changes.kind === 'settings' ? changes.settings : applyOperations(before, changes.operations)
  const after = changedIndexValue(before, raw)
  await checkBases(tx, after, before.type === 'stage' ? before.bases : [])
  const stored = withoutCredentials(tx, input, after, before)

  const settingsBefore = settingsOf(before)
  const settingsAfter = settingsOf(stored)
  const touched = [...new Set([...Object.keys(settingsBefore), ...Object.keys(settingsAfter)])].filter(
    (key) => JSON.stringify(settingsBefore[key]) !== JSON.stringify(settingsAfter[key]),
  )
  if (touched.length === 0 && input.refuseNoop) {
    throw new Refusal('invalid', 'The requested modifications resulted in no changes')
  }
  tx.set(keys.index(input), stored)
  tx.record({
    kind: 'index-modified',
    user,
    index,
    before: pick(settingsBefore, touched),
    after: pick(settingsAfter, touched),
  })
  return stored
}

/** Removes an index with all its projects and files. Refuses `not-found`, and `forbidden` also when it is not volatile. */
export async function deleteIndex(tx: Transaction, input: OnIndex): Promise<void> {
  const { user, index, caller } = input
  const value = await requireIndex(tx, input)
  await authorize(tx, caller, 'index-delete', { user, index: value, indexName: index })
  if (!value.volatile) throw new Refusal('forbidden', `index ${indexName(input)} non-volatile, cannot delete`)
  await removeIndexContents(tx, input)
  tx.record({ kind: 'index-deleted', user, index })
}

/** Bases that were there before may dangle: their index was deleted, and nobody should have to notice. */
async function checkBases(tx: Transaction, value: IndexValue, before: readonly string[]): Promise<void> {
  if (value.type !== 'stage') return
  const faults: string[] = []
  for (const base of new Set(value.bases)) {
    if (before.includes(base)) continue
    const [user = '', index = ''] = base.split('/')
    if ((await tx.get(keys.index({ user, index }))) === undefined) faults.push(`base index '${base}' does not exist`)
  }
  if (faults.length > 0) throw new Refusal('invalid', faults.join(', '))
}

function pick(settings: RawSettings, names: readonly string[]): RawSettings {
  return Object.fromEntries(names.flatMap((name) => (settings[name] === undefined ? [] : [[name, settings[name]]])))
}
