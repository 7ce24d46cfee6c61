import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import type { FileValue, LinkValue } from '#log-format/values.js'
import type { Caller } from '#server/auth/caller.js'
import type { Reader } from '#server/storage/reader.js'
import type { Transaction } from '#server/storage/transaction.js'
import { type LinkRef, removeVersionContents } from './index-contents.js'
import { filePath, type FileRef, refuseOnMirror, requireIndex } from './lookups.js'
import { removeFileLink } from './releases.js'
import { authorize } from './rights.js'
import { releaseOf } from './uploads.js'

interface OnFile extends FileRef {
  readonly caller: Caller
  /** Whether the path was ever given out: a transaction does not read the past. */
  readonly existed: boolean
}

/**
 * Removes a single file and the tox results on it; the version goes with its
 * last link, the project with its last version. Refuses `not-found`, `gone`,
 * and `forbidden`, also on an index that is not volatile unless forced.
 */
export async function deleteFile(tx: Transaction, input: OnFile & { readonly force: boolean }): Promise<void> {
  const { user, index, caller } = input
  const value = await requireIndex(tx, input)
  const target = { user, index: value, indexName: index }
  await authorize(tx, caller, 'delete', target)
  refuseOnMirror(input, value)
  const forced = !value.volatile
  if (forced && !input.force) throw new Refusal('forbidden', 'cannot delete version on non-volatile index')
  if (forced) await authorize(tx, caller, 'force', target)

  const links = await linksAt(tx, input, await requireFile(tx, input))
  for (const { ref, link } of links) {
    await removeFileLink(tx, ref, link)
    if (!(await hasLinks(tx, ref))) await removeVersionContents(tx, ref)
  }
  const [first] = links
  if (first !== undefined) {
    tx.record({ kind: 'file-removed', ...releaseOf(first.ref), file: input.basename, ...(forced && { forced }) })
  }
}

/**
 * Yanks one file for the reason given, which may be empty (PEP 592), or takes
 * that back when `reason` is undefined. Refuses `conflict` to take back a
 * yank that holds for the whole version.
 */
export async function yankFile(tx: Transaction, input: OnFile & { readonly reason: string | undefined }): Promise<void> {
  const { user, index, caller, reason } = input
  const value = await requireIndex(tx, input)
  await authorize(tx, caller, 'yank', { user, index: value, indexName: index })
  refuseOnMirror(input, value)
  const links = await linksAt(tx, input, await requireFile(tx, input))
  const release = links.find(({ link }) => link.rel === 'releasefile')
  if (release === undefined) throw new Refusal('invalid', 'only the files of a release can be yanked')

  for (const { ref, link } of links) {
    if (reason === undefined && (await tx.get(keys.version(ref)))?.yanked !== undefined) {
      throw new Refusal('conflict', `version ${ref.version} is yanked as a whole: take that yank back instead`)
    }
    const { yanked: _, ...kept } = link
    tx.set(keys.link(ref), { ...kept, ...(reason !== undefined && { yanked: reason }) })
  }
  tx.record({
    kind: 'file-yanked',
    ...releaseOf(release.ref),
    file: input.basename,
    ...(reason !== undefined && { reason }),
  })
}

/** The links that stand behind a public path. */
export async function linksAt(
  reader: Reader,
  path: FileRef,
  file: FileValue,
): Promise<{ readonly ref: LinkRef; readonly link: LinkValue }[]> {
  const found: { readonly ref: LinkRef; readonly link: LinkValue }[] = []
  for (const version of file.versions) {
    const ref = { user: path.user, index: path.index, project: file.project, version, basename: path.basename }
    const link = await reader.get(keys.link(ref))
    if (link !== undefined && link.dir === `${path.dirA}/${path.dirB}`) found.push({ ref, link })
  }
  return found
}

async function requireFile(tx: Transaction, input: OnFile): Promise<FileValue> {
  const file = await tx.get(keys.file(input))
  if (file !== undefined) return file
  const path = filePath(input)
  if (input.existed) throw new Refusal('gone', `file '${path}' existed, deleted in later serial`)
  throw new Refusal('not-found', `package '${path}' doesn't exist`)
}

async function hasLinks(tx: Transaction, ref: LinkRef): Promise<boolean> {
  for await (const _ of tx.scan(keys.link.under(ref.user, ref.index, ref.project, ref.version))) return true
  return false
}
