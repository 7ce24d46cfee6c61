import type { IndexValue } from '#log-format/values.js'

/**
 * What is asked for (`spec/server-http.md` 3.5). `push` is the upload a push makes to its target, `push-elsewhere` what it
 * takes of its source when that is on another server, `user-history` is to see what happened to a user, `inspect` to see
 * what is behind the server as a whole: its machine, metrics and log. Groups belong to the server, and so to root.
 */
export type Action =
  | 'user-create'
  | 'user-modify'
  | 'user-modify-password'
  | 'user-delete'
  | 'token-list'
  | 'token-create'
  | 'token-revoke'
  | 'user-history'
  | 'group-read'
  | 'group-modify'
  | 'index-create'
  | 'index-modify'
  | 'index-rename'
  | 'index-delete'
  | 'read'
  | 'upload'
  | 'push'
  | 'push-elsewhere'
  | 'toxresult-upload'
  | 'delete'
  | 'undo'
  | 'yank'
  | 'force'
  | 'inspect'

/** Of what: a user, or one of that user's indexes. Actions on an index that exists need its value. */
export type Target = UserTarget | IndexTarget

interface UserTarget {
  readonly user: string
  readonly indexName?: undefined
  readonly index?: undefined
  /** Of `undo` alone: what was removed. */
  readonly removed?: 'orphaned'
}
interface IndexTarget {
  readonly user: string
  readonly indexName: string
  readonly index?: IndexValue | undefined
  /** Of `undo` alone: what was removed. */
  readonly removed?: Removed
}

/**
 * What a removal took away: an index, or something on one, perhaps by force.
 * `orphaned` is what belongs to nobody any more: a user, or anything of a user
 * who is gone, also when there is another one of that name by now.
 */
export type Removed = 'index' | 'contents' | 'contents-by-force' | 'orphaned'
