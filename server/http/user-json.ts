import { keys } from '#log-format/keys.js'
import type { IndexValue, JsonValue, UserValue } from '#log-format/values.js'
import type { Caller } from '#server/auth/caller.js'
import { hasFullRights } from '#server/auth/permissions.js'
import { settingsOf } from '#server/commands/index-settings.js'
import type { UserRef } from '#server/commands/lookups.js'
import { allows } from '#server/commands/rights.js'
import type { Reader } from '#server/storage/reader.js'

/** `userconfig`: a user with the indexes that the caller may read. An e-mail address is for the logged in, with all their rights. */
export async function userJson(reader: Reader, ref: UserRef, value: UserValue, caller: Caller): Promise<JsonValue> {
  const indexes: Record<string, JsonValue> = {}
  for await (const found of reader.scan(keys.index.under(ref.user))) {
    const { index } = keys.index.params(found.segments)
    if (await allows(reader, caller, 'read', { user: ref.user, index: found.value, indexName: index })) indexes[index] = indexJson(found.value)
  }
  const { created, modified, email, ...fields } = value
  return {
    created: formatTime(created),
    indexes,
    ...(email !== undefined && hasFullRights(caller) && { email }),
    ...(modified !== undefined && { modified: formatTime(modified) }),
    ...fields,
    username: ref.user,
  }
}

/** `indexconfig`, without the list of projects. */
export function indexJson(index: IndexValue): { readonly [setting: string]: JsonValue } {
  return settingsOf(index)
}

/** `YYYY-MM-DDTHH:MM:SSZ`. */
export function formatTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}
