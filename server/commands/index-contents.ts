import { keys } from '#log-format/keys.js'
import type { LinkValue } from '#log-format/values.js'
import { isPep440, versionIdentity } from '#log-format/version.js'
import type { Transaction } from '#server/storage/transaction.js'
import { secretNames } from '#server/storage/vault.js'
import { type IndexRef, type ProjectRef, splitDir, type VersionRef } from './lookups.js'

/*
 * Removal of whatever stands below a key. These check nothing and record
 * nothing: the command that calls them has decided, and says what was asked.
 */

/** Deletes an index with everything on it. */
export async function removeIndexContents(tx: Transaction, ref: IndexRef): Promise<void> {
  for await (const { segments } of tx.scan(keys.project.under(ref.user, ref.index))) {
    await removeProjectContents(tx, keys.project.params(segments))
  }
  tx.delete(keys.index(ref))
  tx.secrets.delete(secretNames.upstream(ref.user, ref.index))
}

/** Deletes a project with its versions, links and file paths. */
export async function removeProjectContents(tx: Transaction, ref: ProjectRef): Promise<void> {
  for await (const { segments, value } of tx.scan(keys.link.under(ref.user, ref.index, ref.project))) {
    await removeLink(tx, keys.link.params(segments), value)
  }
  for await (const { segments } of tx.scan(keys.version.under(ref.user, ref.index, ref.project))) {
    removeVersionKeys(tx, keys.version.params(segments))
  }
  for await (const { segments, value } of tx.scan(keys.mirrorFile.under(ref.user, ref.index, ref.project))) {
    const file = keys.mirrorFile.params(segments)
    tx.delete(keys.mirrorFile(file))
    tx.delete(keys.mirrorPath({ ...file, ...splitDir(value.dir) }))
  }
  tx.delete(keys.project(ref))
}

/** Deletes a version with its links; the project too when this was its last one. */
export async function removeVersionContents(tx: Transaction, ref: VersionRef): Promise<void> {
  for await (const { segments, value } of tx.scan(keys.link.under(ref.user, ref.index, ref.project, ref.version))) {
    await removeLink(tx, keys.link.params(segments), value)
  }
  removeVersionKeys(tx, ref)
  for await (const _ of tx.scan(keys.version.under(ref.user, ref.index, ref.project))) return
  tx.delete(keys.project(ref))
}

export interface LinkRef extends VersionRef {
  readonly basename: string
}

/** Deletes a link, and its public path unless another version links to the same one. */
export async function removeLink(tx: Transaction, ref: LinkRef, link: LinkValue): Promise<void> {
  tx.delete(keys.link(ref))
  const path = keys.file({ ...ref, ...splitDir(link.dir) })
  const file = await tx.get(path)
  if (file === undefined) return
  const versions = file.versions.filter((version) => version !== ref.version)
  if (versions.length === 0) tx.delete(path)
  else tx.set(path, { ...file, versions })
}

function removeVersionKeys(tx: Transaction, ref: VersionRef): void {
  tx.delete(keys.version(ref))
  tx.delete(keys.metadata(ref))
  if (isPep440(ref.version)) tx.delete(keys.spelling({ ...ref, identity: versionIdentity(ref.version) }))
}
