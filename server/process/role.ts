import { Refusal } from '#log-format/api/refusal.js'
import { NO_SERIAL, type Serial } from '#log-format/serial.js'

/** What a server is. `standalone` is a primary that nobody called so; both make entries and send them to replicas. */
export type Role = 'standalone' | 'primary' | 'replica'
export const ROLES: readonly Role[] = ['standalone', 'primary', 'replica']

/** What is asked for at a start; `auto` leaves it to what the server directory says. */
export type AskedRole = Role | 'auto'

export interface RoleQuestion {
  readonly asked: AskedRole
  readonly primaryUrl: string | undefined
  /** What the server directory was at its last start, and whom it followed. */
  readonly stored: { readonly role: string | undefined; readonly primaryUrl: string | undefined; readonly head: Serial }
}

export type DecidedRole =
  | { readonly role: 'standalone' | 'primary' }
  /** `parts`: the log has been its own so far; what a promoted primary has not of it is to be put aside. */
  | { readonly role: 'replica'; readonly primaryUrl: string; readonly parts?: true }

/** Names of the facts under which a storage keeps it. */
export const ROLE_FACT = 'role'
export const PRIMARY_URL_FACT = 'primary-url'
/** Whom a promoted server followed. */
export const FORMER_URL_FACT = 'former-primary-url'

/**
 * What the server is (`spec/server-mirror-replica.md` 2.1). A role once taken
 * is kept until another one is asked for. Refuses `invalid` what lacks or has
 * too much, and `conflict` what would mix histories: a directory with entries
 * of its own follows only when it is told to, and whom, and a replica does not become a primary by its name alone.
 */
export function decideRole({ asked, primaryUrl, stored }: RoleQuestion): DecidedRole {
  const was = storedRole(stored)
  const role = asked === 'auto' ? (was ?? (primaryUrl === undefined ? 'standalone' : 'replica')) : asked
  if (role !== 'replica') {
    if (primaryUrl !== undefined) throw new Refusal('invalid', `a ${role} server follows nobody; leave out --primary-url, or start with --role replica in a new serverdir`)
    if (was === 'replica') throw new Refusal('conflict', 'this serverdir is that of a replica; its history is the primary\'s, which it would part from as a primary; to take over from it, use devpi-server promote')
    return { role }
  }
  if (was !== undefined && was !== 'replica' && primaryUrl === undefined) throw new Refusal('conflict', 'this serverdir has a history of its own and cannot follow another; choose a new --serverdir for a replica, or name with --primary-url the server that was promoted in its place')
  const followed = primaryUrl ?? stored.primaryUrl
  if (followed === undefined) throw new Refusal('invalid', 'a replica needs the address of its primary: --primary-url URL')
  return { role, primaryUrl: followed, ...(was !== undefined && was !== 'replica' && { parts: true }) }
}

/** Directories of releases that knew no roles have entries and no role. */
function storedRole({ role, head }: RoleQuestion['stored']): Role | undefined {
  if (role === undefined) return head === NO_SERIAL ? undefined : 'standalone'
  const known = ROLES.find((one) => one === role)
  if (known === undefined) throw new Refusal('conflict', `this serverdir is that of a ${role}, which this release does not know`)
  return known
}
