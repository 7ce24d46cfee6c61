import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import { checkGroupName, isKeySegment } from '#log-format/names.js'
import type { GroupValue } from '#log-format/values.js'
import { type Caller, ROOT_USER } from '#server/auth/caller.js'
import type { Reader } from '#server/storage/reader.js'
import type { Transaction } from '#server/storage/transaction.js'
import type { UserRef } from './lookups.js'
import { authorize } from './rights.js'

/** A user's groups are found by asking all of them. */
const MOST_GROUPS = 1000
const MOST_MEMBERS = 1000

export interface GroupRef {
  readonly group: string
}

export interface OnGroup extends GroupRef {
  readonly caller: Caller
}


/** One step in changing who is in a group: one more, one less, or all anew. */
export type MemberStep = { readonly add: string } | { readonly remove: string } | { readonly to: readonly string[] }

/** Creates a group. Refuses `forbidden`, `conflict` for a name in use or too many groups, `invalid` for bad names and users that are not there. */
export async function createGroup(tx: Transaction, input: OnGroup & { readonly members: readonly string[] }): Promise<void> {
  const { group, caller } = input
  await authorize(tx, caller, 'group-modify', { user: ROOT_USER })
  if ((await tx.get(keys.group({ group }))) !== undefined) throw new Refusal('conflict', `group '${group}' exists`)
  checkGroupName(group)
  await refuseTooManyGroups(tx)
  const members = [...new Set(input.members)]
  checkNumber(group, members)
  tx.set(keys.group({ group }), { created: tx.time })
  for (const user of members) await addMember(tx, { group, user })
  tx.record({ kind: 'group-created', group, members })
}

/**
 * Changes who is in a group; what does not change it leaves no entry. Refuses
 * `forbidden`, `not-found`, and `invalid` to add users that are not there, to
 * take away who is no member, and too many members.
 */
export async function modifyGroup(tx: Transaction, input: OnGroup & { readonly steps: readonly MemberStep[] }): Promise<void> {
  const { group, caller, steps } = input
  await authorize(tx, caller, 'group-modify', { user: ROOT_USER })
  await requireGroup(tx, input)
  const before = new Set(await membersOf(tx, input))
  const after = applySteps(group, before, steps)
  checkNumber(group, [...after])
  const added = [...after].filter((user) => !before.has(user))
  const removed = [...before].filter((user) => !after.has(user))
  if (added.length + removed.length === 0) return
  for (const user of added) await addMember(tx, { group, user })
  for (const user of removed) tx.delete(keys.member({ group, user }))
  tx.record({ kind: 'group-modified', group, added, removed })
}

/** Removes a group, which then stands for nobody wherever it is named. Refuses `forbidden` and `not-found`. */
export async function deleteGroup(tx: Transaction, input: OnGroup): Promise<void> {
  const { group, caller } = input
  await authorize(tx, caller, 'group-modify', { user: ROOT_USER })
  await requireGroup(tx, input)
  const members = await membersOf(tx, input)
  for (const user of members) tx.delete(keys.member({ group, user }))
  tx.delete(keys.group({ group }))
  tx.record({ kind: 'group-deleted', group, members })
}

/** Takes a user who goes out of all groups; checks and records nothing. */
export async function leaveGroups(tx: Transaction, { user }: UserRef): Promise<void> {
  for (const group of await groupsOf(tx, { user })) tx.delete(keys.member({ group, user }))
}

/** Names of the groups that a user is in, in order. */
export async function groupsOf(reader: Reader, { user }: UserRef): Promise<readonly string[]> {
  const groups: string[] = []
  for await (const { segments } of reader.scan(keys.group.under())) {
    const { group } = keys.group.params(segments)
    if ((await reader.get(keys.member({ group, user }))) !== undefined) groups.push(group)
  }
  return groups
}

/** Names of the users in a group, in order. */
export async function membersOf(reader: Reader, { group }: GroupRef): Promise<readonly string[]> {
  const members: string[] = []
  for await (const { segments } of reader.scan(keys.member.under(group))) members.push(keys.member.params(segments).user)
  return members
}

export async function requireGroup(reader: Reader, { group }: GroupRef): Promise<GroupValue> {
  const value = await reader.get(keys.group({ group }))
  if (value === undefined) throw new Refusal('not-found', `no group '${group}'`)
  return value
}

function applySteps(group: string, before: ReadonlySet<string>, steps: readonly MemberStep[]): ReadonlySet<string> {
  let members = new Set(before)
  for (const step of steps) {
    if ('to' in step) members = new Set(step.to)
    else if ('add' in step) members.add(step.add)
    else if (!members.delete(step.remove)) throw new Refusal('invalid', `'${step.remove.slice(0, 80)}' is no member of group '${group}'`)
  }
  return members
}

/** Only a user who is there can become a member, or whoever took the name later would be one. */
async function addMember(tx: Transaction, { group, user }: GroupRef & UserRef): Promise<void> {
  if (!isKeySegment(user) || (await tx.get(keys.user({ user }))) === undefined) {
    throw new Refusal('invalid', `there is no user '${user.slice(0, 80)}' who could be in group '${group}'`)
  }
  tx.set(keys.member({ group, user }), { since: tx.time })
}

function checkNumber(group: string, members: readonly string[]): void {
  if (members.length > MOST_MEMBERS) throw new Refusal('invalid', `group '${group}' would have ${members.length} members; ${MOST_MEMBERS} is the most`)
}

async function refuseTooManyGroups(tx: Transaction): Promise<void> {
  let count = 0
  for await (const _ of tx.scan(keys.group.under())) count += 1
  if (count >= MOST_GROUPS) throw new Refusal('conflict', `there are ${count} groups; delete some of them first`)
}
