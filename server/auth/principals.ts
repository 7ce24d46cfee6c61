import type { Target } from './actions.js'
import type { Caller, Principal } from './caller.js'

/** What both magic words look like, so that no group is called like one. */
const MAGIC = /^:(anonymous|authenticated):$/i

/** Whether a list of principals, as `acl_*` settings have them, admits the caller. */
export function isListed(caller: Principal, members: readonly string[]): boolean {
  const words = members.flatMap((member) => MAGIC.exec(member)?.[1]?.toLowerCase() ?? [])
  if (words.includes('anonymous')) return true
  return (words.includes('authenticated') && caller.user !== undefined) || isNamed(caller, members)
}

/** Whether a list has the caller as a user, or one of his groups; what stands for everybody does not count. */
export function isNamed({ user, groups }: Principal, members: readonly string[]): boolean {
  if (user === undefined) return false
  return members.some((member) => {
    const group = groupNamed(member)
    return group === undefined ? member === user : groups.includes(group)
  })
}

/** The group that an item of such a list stands for; undefined for a user, whose name has no colon, and a magic word. */
export function groupNamed(member: string): string | undefined {
  return member.startsWith(':') && !MAGIC.test(member) ? member.slice(1) : undefined
}

/** Names of the groups on which it may turn what a caller may do, each once. */
export function groupsAskedFor({ policy }: Caller, { index }: Target): ReadonlySet<string> {
  const groups = new Set<string>()
  const ofStage = index?.type === 'stage' ? [index.acl_upload, index.acl_toxresult_upload] : []
  for (const list of [policy?.managers, index?.acl_read, ...ofStage]) {
    for (const member of list ?? []) {
      const group = groupNamed(member)
      if (group !== undefined) groups.add(group)
    }
  }
  return groups
}
