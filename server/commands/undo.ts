import { isDeepStrictEqual } from 'node:util'
import { Refusal } from '#log-format/api/refusal.js'
import type { Entry } from '#log-format/entry.js'
import type { Key } from '#log-format/key-pattern.js'
import { keyAt, keys } from '#log-format/keys.js'
import { isMutationKind, type Mutation } from '#log-format/mutation.js'
import type { Serial } from '#log-format/serial.js'
import type { IndexValue, JsonValue, UserValue } from '#log-format/values.js'
import type { Caller } from '#server/auth/caller.js'
import type { Removed } from '#server/auth/actions.js'
import type { Reader } from '#server/storage/reader.js'
import type { Transaction } from '#server/storage/transaction.js'
import { authorize } from './rights.js'

type RemovalKind = 'file-removed' | 'version-removed' | 'project-removed' | 'index-deleted' | 'user-deleted'
export type RemovalMutation = Extract<Mutation, { readonly kind: RemovalKind }>

/** A removal of the past with all it did, read before the turn that undoes it. */
export interface Removal extends RemovalFacts {
  readonly keys: readonly RemovedKey[]
}

interface RemovalFacts {
  readonly serial: Serial
  /** ms since the epoch. */
  readonly time: number
  readonly mutation: RemovalMutation
  /** User and index as they were just before; the index is undefined where a user was deleted. */
  readonly owner: UserValue | undefined
  readonly index: IndexValue | undefined
}

/** A key that the removal deleted or changed, with the value it had before and the one it was left with. */
export interface RemovedKey {
  readonly key: Key<JsonValue>
  readonly before: JsonValue | undefined
  readonly left: JsonValue | undefined
}

/** What surrounds the thing removed, and went only because nothing was left in it: if it is there again, it stays as it is. */
const SURROUNDINGS: { readonly [K in RemovalKind]: readonly string[] } = {
  'file-removed': [keys.project.family, keys.version.family, keys.metadata.family],
  'version-removed': [keys.project.family],
  'project-removed': [],
  'index-deleted': [],
  'user-deleted': [],
}

const MOST_PATHS_SHOWN = 20

/**
 * Reads a removal; `before` shows the serial before it, `current` the present.
 * Refuses `invalid` for an entry that removed nothing, and `forbidden` before
 * it reads what may be as much as a whole index.
 */
export async function readRemoval(
  { serial, time, mutation, changes }: Entry,
  { before, current, caller }: { readonly before: Reader; readonly current: Reader; readonly caller: Caller },
): Promise<Removal> {
  if (!isRemoval(mutation)) {
    throw new Refusal('invalid', `serial ${serial} is not the removal of a file, version, project, index or user, and cannot be undone`)
  }
  const owner = await before.get(keys.user(mutation))
  const index = 'index' in mutation ? await before.get(keys.index(mutation)) : undefined
  const facts = { serial, time, mutation, owner, index }
  await authorizeUndo(current, caller, facts)

  const removed: RemovedKey[] = []
  for (const { path, value } of changes) {
    const key = keyAt(path)
    if (key.family === keys.token.family) continue // without its secret a token is good for nothing
    removed.push({ key, before: await before.get(key), left: value })
  }
  return { ...facts, keys: removed }
}

/** Digests of the blobs that would be named again: they must be held until that is so. */
export function blobsOf({ keys: removed }: Removal): ReadonlySet<string> {
  const found = new Set<string>()
  for (const { key, before, left } of removed) {
    const link = keys.link.match({ ...key, before: left, after: before })?.after
    if (link !== undefined) found.add(link.sha256)
  }
  return found
}

export interface UndoRemoval {
  readonly caller: Caller
  readonly removal: Removal
}

/**
 * Puts back what a removal took: all of it exactly as it was, or nothing.
 * Secrets that went with it are gone for good. Refuses `forbidden` for who
 * could not have removed it, and `conflict`, with the paths, where a place is
 * taken or what it stood in is gone.
 */
export async function undoRemoval(tx: Transaction, input: UndoRemoval): Promise<void> {
  const { serial, mutation } = input.removal
  for (const { key, before } of await planUndo(tx, input)) {
    if (before === undefined) tx.delete(key)
    else tx.set(key, before)
    // As whenever an index gets a name: it leads nowhere else any more.
    if (key.family === keys.index.family && before !== undefined) tx.delete(keys.renamed(keys.index.params(key.segments)))
  }
  tx.record({ kind: 'removal-undone', serial, ...whatWasRemoved(mutation) })
}

/** Refuses what {@link undoRemoval} would refuse as things stand. */
export async function checkUndo(reader: Reader, input: UndoRemoval): Promise<void> {
  await planUndo(reader, input)
}

/** The names in the mutation of a removal: a user's, and as far as it was about less, further ones. */
export function whatWasRemoved(mutation: RemovalMutation): RemovedNames {
  const { user, index, project, version, file }: RemovedNames = mutation
  return {
    user,
    ...(index !== undefined && { index }),
    ...(project !== undefined && { project }),
    ...(version !== undefined && { version }),
    ...(file !== undefined && { file }),
  }
}

export interface RemovedNames {
  readonly user: string
  readonly index?: string
  readonly project?: string
  readonly version?: string
  readonly file?: string
}

async function planUndo(reader: Reader, { caller, removal }: UndoRemoval): Promise<readonly RemovedKey[]> {
  await authorizeUndo(reader, caller, removal)
  const surroundings = SURROUNDINGS[removal.mutation.kind]
  const plan: RemovedKey[] = []
  const taken = new Set<string>()
  const gone = new Set<string>()
  for (const removed of removal.keys) {
    const { key, before, left } = removed
    if (!(await stillHasPlace(reader, removed))) continue
    const now = await reader.get(key)
    if (isDeepStrictEqual(now, left)) plan.push(removed)
    else if (now === undefined) gone.add(publicPath(key))
    else if (!surroundings.includes(key.family) && !isSameSpelling(key, now, before)) taken.add(publicPath(key))
  }
  for (const path of await missingParents(reader, plan)) gone.add(path)
  if (taken.size + gone.size > 0) throw conflict(removal, taken, gone)
  return plan
}

/**
 * Who could have removed it may undo it, by the index as it is now. What stood
 * in another index or belonged to another user of the same name is nobody's:
 * whoever takes a name gets nothing of what was under it before.
 */
async function authorizeUndo(reader: Reader, caller: Caller, removal: RemovalFacts): Promise<void> {
  const { mutation, owner, index } = removal
  const { user } = mutation
  const ownerNow = await reader.get(keys.user({ user }))
  const isOwned = mutation.kind !== 'user-deleted' && ownerNow !== undefined && ownerNow.created === owner?.created
  if (mutation.kind === 'user-deleted') {
    await authorize(reader, caller, 'undo', { user, removed: 'orphaned' })
    return
  }
  const indexNow = await reader.get(keys.index(mutation))
  const isSameIndex = indexNow !== undefined && indexNow.created === index?.created
  const shown = isSameIndex ? indexNow : index
  const removed = isOwned ? removedOf(mutation) : 'orphaned'
  await authorize(reader, caller, 'undo', { user, indexName: mutation.index, removed, ...(shown && { index: shown }) })
  if (!isOwned) throw conflict(removal, new Set(), new Set([user]))
  if (mutation.kind !== 'index-deleted' && !isSameIndex) throw conflict(removal, new Set(), new Set([`${user}/${mutation.index}`]))
}

function removedOf(mutation: Exclude<RemovalMutation, { readonly kind: 'user-deleted' }>): Removed {
  if (mutation.kind === 'index-deleted') return 'index'
  return mutation.forced === true ? 'contents-by-force' : 'contents'
}

/** A user does not come back into a group that is gone meanwhile; one that has its name by now is another. */
async function stillHasPlace(reader: Reader, { key, before }: RemovedKey): Promise<boolean> {
  const found = keys.member.match({ ...key, before, after: undefined })
  if (found?.before === undefined) return true
  const group = await reader.get(keys.group(found.params))
  return group !== undefined && group.created <= found.before.since
}

/** Paths of what restored keys would stand in and that is not there, nor would be. */
async function missingParents(reader: Reader, plan: readonly RemovedKey[]): Promise<string[]> {
  const restored = new Set(plan.filter(({ before }) => before !== undefined).map(({ key }) => key.path))
  const looked = new Set<string>()
  const missing: string[] = []
  for (const { key, before } of plan) {
    const parent = before === undefined ? undefined : parentOf(key)
    if (parent === undefined || restored.has(parent.path) || looked.has(parent.path)) continue
    looked.add(parent.path)
    if ((await reader.get(parent)) === undefined) missing.push(publicPath(parent))
  }
  return missing
}

function parentOf({ family, segments }: Key<unknown>): Key<unknown> | undefined {
  switch (family) {
    case keys.index.family:
      return keys.user(keys.user.params(segments))
    case keys.project.family:
    case keys.file.family:
      return keys.index(keys.index.params(segments))
    case keys.version.family:
    case keys.spelling.family:
      return keys.project(keys.project.params(segments))
    case keys.metadata.family:
    case keys.link.family:
      return keys.version(keys.version.params(segments))
    default:
      return undefined
  }
}

/** The version is there again, spelled as it was. */
function isSameSpelling(key: Key<unknown>, now: JsonValue, before: JsonValue | undefined): boolean {
  return key.family === keys.spelling.family && isDeepStrictEqual(now, before)
}

function conflict({ serial }: RemovalFacts, taken: ReadonlySet<string>, gone: ReadonlySet<string>): Refusal {
  const reasons = [
    ...(taken.size > 0 ? [`there is something else now at ${list(taken)}`] : []),
    ...(gone.size > 0 ? [`it stood in what is gone: ${list(gone)}`] : []),
  ]
  return new Refusal('conflict', `the removal at serial ${serial} cannot be undone: ${reasons.join('; ')}`)
}

function list(paths: ReadonlySet<string>): string {
  const shown = [...paths].sort().slice(0, MOST_PATHS_SHOWN).join(', ')
  return paths.size > MOST_PATHS_SHOWN ? `${shown} and ${paths.size - MOST_PATHS_SHOWN} more` : shown
}

/** The path as people know it: of what the key says something. */
function publicPath({ path }: Key<unknown>): string {
  return path.replace(/\/\.(config|metadata)$/, '').replace('/+link/', '/').replace('/+spelling/', '/')
}

function isRemoval(mutation: Entry['mutation']): mutation is RemovalMutation {
  return isMutationKind(mutation.kind) && Object.hasOwn(SURROUNDINGS, mutation.kind)
}
