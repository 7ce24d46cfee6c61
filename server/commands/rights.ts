import { keys } from '#log-format/keys.js'
import { isKeySegment } from '#log-format/names.js'
import type { Action, Target } from '#server/auth/actions.js'
import type { Caller, Principal } from '#server/auth/caller.js'
import * as table from '#server/auth/permissions.js'
import { groupsAskedFor } from '#server/auth/principals.js'
import type { Reader } from '#server/storage/reader.js'

/** Whether the table lets the caller do it, with the memberships that `reader` shows. */
export async function allows(reader: Reader, caller: Caller, action: Action, target: Target): Promise<boolean> {
  return table.allows(await principalOf(reader, caller, target), action, target)
}

/** Refuses what {@link allows} would not: `unauthenticated` or `forbidden`, in the words of the table. */
export async function authorize(reader: Reader, caller: Caller, action: Action, target: Target): Promise<void> {
  table.authorize(await principalOf(reader, caller, target), action, target)
}

/**
 * The caller with those of the groups that the answer turns on. Memberships
 * are looked up for each question, so that a change of them holds from its
 * entry on, in a turn as well as for the next request.
 */
async function principalOf(reader: Reader, caller: Caller, target: Target): Promise<Principal> {
  const { user } = caller
  const groups: string[] = []
  if (user !== undefined) {
    for (const group of groupsAskedFor(caller, target)) {
      if (isKeySegment(group) && (await reader.get(keys.member({ group, user }))) !== undefined) groups.push(group)
    }
  }
  return { ...caller, groups }
}
