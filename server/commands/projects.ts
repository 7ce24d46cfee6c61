import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import type { Caller } from '#server/auth/caller.js'
import type { Transaction } from '#server/storage/transaction.js'
import { removeProjectContents } from './index-contents.js'
import { indexName, type ProjectRef, requireIndex } from './lookups.js'
import { authorize } from './rights.js'

/**
 * Removes a project from one index; blobs stay until the sweep. Refuses
 * `not-found`, and `forbidden`, also on an index that is not volatile unless
 * its owner or root forces it.
 */
export async function deleteProject(
  tx: Transaction,
  input: ProjectRef & { readonly caller: Caller; readonly force: boolean },
): Promise<void> {
  const { user, index, project, caller } = input
  const value = await requireIndex(tx, input)
  const target = { user, index: value, indexName: index }
  await authorize(tx, caller, 'delete', target)
  const forced = !value.volatile
  if (forced && !input.force) {
    throw new Refusal('forbidden', `project ${project} is on non-volatile index ${indexName(input)}`)
  }
  if (forced) await authorize(tx, caller, 'force', target)
  if ((await tx.get(keys.project(input))) === undefined) throw new Refusal('not-found', 'project not found')
  await removeProjectContents(tx, input)
  tx.record({ kind: 'project-removed', user, index, project, ...(forced && { forced }) })
}
