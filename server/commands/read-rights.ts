import { keys } from '#log-format/keys.js'
import type { IndexValue } from '#log-format/values.js'
import { ANONYMOUS, type Caller } from '#server/auth/caller.js'
import type { Reader } from '#server/storage/reader.js'
import { type IndexRef, renamedTo } from './lookups.js'
import { authorize } from './rights.js'

/** An index with the value it has at some serial. */
export interface FoundIndex extends IndexRef {
  readonly value: IndexValue
}

/** By which settings it is decided who may read an index, and for whom the caller counts. */
export interface Judged {
  readonly settings: IndexValue
  readonly caller: Caller
}

/** Refuses to whom the index found by `reader` may not be shown, by its present settings, and returns those. */
export async function authorizeRead(
  reader: Reader,
  current: Reader,
  found: FoundIndex,
  caller: Caller,
): Promise<IndexValue> {
  const judged = await judgedNow(reader, current, found, caller)
  await authorize(current, judged.caller, 'read', { user: found.user, index: judged.settings, indexName: found.index })
  return judged.settings
}

/**
 * An index that was renamed has the settings it has under its new name; one
 * that is gone by now has the last settings and the users it had, and whoever
 * took a name since then is a stranger to it.
 */
export async function judgedNow(reader: Reader, current: Reader, found: FoundIndex, caller: Caller): Promise<Judged> {
  if (reader === current) return { settings: found.value, caller }
  const now = await current.get(keys.index((await renamedTo(current, found)) ?? found))
  if (now?.created === found.value.created) return { settings: now, caller }
  const isSame = await wasThere(reader, current, caller)
  return { settings: await lastSettings(current, found), caller: isSame ? caller : { ...caller, user: ANONYMOUS.user } }
}

/** The ones an index had in the end: what was closed before it went stays closed. */
async function lastSettings(current: Reader, found: FoundIndex): Promise<IndexValue> {
  for await (const value of current.formerValues(keys.index(found))) {
    if (value.created === found.value.created) return value
  }
  return found.value
}

async function wasThere(reader: Reader, current: Reader, { user }: Caller): Promise<boolean> {
  if (user === undefined) return false
  const [then, now] = await Promise.all([reader.get(keys.user({ user })), current.get(keys.user({ user }))])
  return then !== undefined && then.created === now?.created
}
