import type { ForeignMutation } from '../mutation.js'

/** One mutation as the changes feed shows it: who did what, when. `result.changes` of `changes`, and the data of an event. */
export interface ChangeJson {
  readonly serial: number
  /** ISO 8601 in UTC, with milliseconds. */
  readonly time: string
  /** A user name, or `+anonymous`, `+system`, `+replica`, `+upstream`. */
  readonly actor: string
  /**
   * Fields as in the log (`log-format/mutation.ts`), but a `source` that the
   * reader may not see is left out. Of a kind that the server does not know,
   * the kind alone.
   */
  readonly mutation: ForeignMutation
}

/** `changes`: mutations after `since`, oldest first. Serials that the caller may not read are left out. */
export interface ChangesJson {
  readonly changes: readonly ChangeJson[]
  /** `since` of the request that goes on from here. */
  readonly next: number
  /** Whether that request would find more of the log already written. */
  readonly more: boolean
}
