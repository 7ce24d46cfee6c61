import type { Via } from '#log-format/entry.js'

/** Who makes a request. `user` is undefined for somebody who showed no credentials. */
export interface Caller {
  readonly user: string | undefined
  readonly via: Via
}

export const ANONYMOUS: Caller = { user: undefined, via: 'session' }

/** The superuser's name. */
export const ROOT_USER = 'root'

/** What the log calls the caller. */
export function actorOf(caller: Caller): string {
  return caller.user ?? '+anonymous'
}
