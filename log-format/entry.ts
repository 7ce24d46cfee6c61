import type { Change } from './change.js'
import type { ForeignMutation, Mutation } from './mutation.js'
import type { Serial } from './serial.js'

/** How the actor was known: by login token, by password, in a browser session, or it is the system itself. */
export type Via = 'token' | 'basic' | 'session' | 'system'

export const VIAS: readonly Via[] = ['token', 'basic', 'session', 'system']

/** Who did it, when and how: what a transaction is told about its origin. */
export interface Origin {
  /** ms since the epoch, UTC. The log keeps it from running backwards. */
  readonly time: number
  /** A user name, `+anonymous`, `+system`, `+replica` or `+upstream`. */
  readonly actor: string
  readonly via: Via
  /** Names the request in the log files; up to 64 characters. */
  readonly request: string
}

/** One sealed transaction. */
export interface Entry extends Origin {
  readonly serial: Serial
  /** Digest of the entry before, 32 bytes; zeros in front of serial 0. */
  readonly parent: Uint8Array
  /** Raised when a replica is promoted; never falls. */
  readonly epoch: number
  readonly mutation: Mutation | ForeignMutation
  readonly changes: readonly Change[]
}
