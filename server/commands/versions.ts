import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import type { Caller } from '#server/auth/caller.js'
import type { Transaction } from '#server/storage/transaction.js'
import { removeVersionContents } from './index-contents.js'
import { refuseOnMirror, requireIndex, requireVersion, type VersionRef } from './lookups.js'
import { authorize } from './rights.js'
import { releaseOf } from './uploads.js'

interface OnVersion extends VersionRef {
  readonly caller: Caller
}

/**
 * Removes one version with its links, and the project with its last one;
 * blobs stay until the sweep. Refuses `not-found`, and `forbidden`, also on
 * an index that is not volatile unless its owner or root forces it.
 */
export async function deleteVersion(tx: Transaction, input: OnVersion & { readonly force: boolean }): Promise<void> {
  const { user, index, caller } = input
  const value = await requireIndex(tx, input)
  const target = { user, index: value, indexName: index }
  await authorize(tx, caller, 'delete', target)
  refuseOnMirror(input, value)
  const forced = !value.volatile
  if (forced && !input.force) throw new Refusal('forbidden', 'cannot delete version on non-volatile index')
  if (forced) await authorize(tx, caller, 'force', target)
  const version = await requireVersion(tx, input)
  await removeVersionContents(tx, version)
  tx.record({ kind: 'version-removed', ...releaseOf(version), ...(forced && { forced }) })
}

/**
 * Yanks a version for the reason given, which may be empty (PEP 592), or
 * takes the yank back when `reason` is undefined. Works on non-volatile
 * indexes too: nothing is removed. Refuses `not-found` and `forbidden`.
 */
export async function yankVersion(
  tx: Transaction,
  input: OnVersion & { readonly reason: string | undefined },
): Promise<void> {
  const { user, index, caller, reason } = input
  const value = await requireIndex(tx, input)
  await authorize(tx, caller, 'yank', { user, index: value, indexName: index })
  refuseOnMirror(input, value)
  const version = await requireVersion(tx, input)
  const { yanked: _, ...kept } = version.value
  tx.set(keys.version(version), { ...kept, ...(reason !== undefined && { yanked: reason }) })
  tx.record({ kind: 'file-yanked', ...releaseOf(version), ...(reason !== undefined && { reason }) })
}
