import type { IndexValue } from '#log-format/values.js'
import type { Caller } from '#server/auth/caller.js'
import { type IndexRef, requireIndex } from '#server/commands/lookups.js'
import { authorizeRead, judgedNow } from '#server/commands/read-rights.js'
import { allows } from '#server/commands/rights.js'
import type { Reader } from '#server/storage/reader.js'
import { type JudgedIndex, type StagePolicies, stagePolicies } from './policies.js'
import { type IndexInOrder, resolutionOrder } from './resolution-order.js'

/** An index as it answers to one caller: itself and its bases, as far as the caller may read them. */
export interface OpenStage extends IndexRef {
  readonly reader: Reader
  readonly value: IndexValue
  /** In resolution order, the index itself first, unless it is a base of none and a mirror moved behind. */
  readonly order: readonly IndexInOrder[]
  /** The same with those that the caller may not read: a name that one of them has is private all the same. */
  readonly all: readonly IndexInOrder[]
  /** Indexes whose settings decided this, also those that do not exist or may not be read. */
  readonly visited: readonly IndexRef[]
  /** Undefined where no index of the stage has one. */
  readonly policies: StagePolicies | undefined
  /** Whether everybody who asks gets the same answer. */
  readonly isPublic: boolean
}

/**
 * Opens an index for reading. This is the one place where `acl_read` decides:
 * the index asked for must be readable, `unauthenticated` or `forbidden`
 * otherwise; bases that are not are passed over as if they were not there.
 * Refuses `not-found` for a missing index. Settings are those of `current`,
 * the present, also when `reader` shows the past: who lost the right to read
 * lost it for the past as well, and what policies hide now, they hide of the past, too. A name is not a right, though: a later index
 * or user of the same name is another one.
 */
export async function openStage(input: {
  readonly reader: Reader
  readonly current: Reader
  readonly ref: IndexRef
  readonly caller: Caller
  /** ms since the epoch, for policies that go by it. */
  readonly now: number
}): Promise<OpenStage> {
  const { reader, current, ref, caller, now } = input
  const value = await requireIndex(reader, ref)
  await authorizeRead(reader, current, { ...ref, value }, caller)
  const { indexes, visited } = await resolutionOrder(reader, { user: ref.user, index: ref.index, value })

  const order: IndexInOrder[] = []
  const all: JudgedIndex[] = []
  let isPublic = true
  for (const found of indexes) {
    const judged = await judgedNow(reader, current, found, caller)
    isPublic &&= judged.settings.acl_read === undefined
    const isReadable = await allows(current, judged.caller, 'read', { user: found.user, index: judged.settings, indexName: found.index })
    if (isReadable) order.push(found)
    all.push({ found, settings: judged.settings, isReadable })
  }
  return { user: ref.user, index: ref.index, reader, value, order, all: indexes, visited, policies: stagePolicies(ref, all, now), isPublic }
}
