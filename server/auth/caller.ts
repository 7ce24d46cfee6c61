import type { Via } from '#log-format/entry.js'
import type { TokenScope } from '#log-format/values.js'

/** What the operator of the server decided. */
export interface AccessPolicy {
  /** Who may create users: everyone, as the quickstart does, or superusers. */
  readonly signUp: 'open' | 'closed'
  /** With `--restrict-modify`: who manages users and indexes, in place of root and owners; users, and groups as `:group`. */
  readonly managers?: readonly string[]
}

export const DEFAULT_POLICY: AccessPolicy = { signUp: 'open' }

/** Who makes a request. `user` is undefined for somebody who showed no credentials. */
export interface Caller {
  readonly user: string | undefined
  readonly via: Via
  /** Under which rules; the default ones when absent. */
  readonly policy?: AccessPolicy
  /** What the API token that was shown is for: this much of what the user may do. Without one, all of it. */
  readonly scope?: TokenScope
  /** Why the API token that was shown does not count, in a sentence. The caller is nobody then. */
  readonly rejected?: string
}

/** A caller of whom it is known which of the groups that matter have him as a member. */
export interface Principal extends Caller {
  readonly groups: readonly string[]
}

export const ANONYMOUS: Principal = { user: undefined, via: 'session', groups: [] }

/** The superuser's name. */
export const ROOT_USER = 'root'

/** What the log calls the caller. */
export function actorOf(caller: Caller): string {
  return caller.user ?? '+anonymous'
}
