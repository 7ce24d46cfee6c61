import { Refusal } from '#log-format/api/refusal.js'
import type { IndexValue } from '#log-format/values.js'
import { type AccessPolicy, ANONYMOUS, type Caller, DEFAULT_POLICY, ROOT_USER } from './caller.js'
import { covers, coversIndex, type ScopeQuestion, type TokenAction } from './token-scope.js'

/**
 * What is asked for (`spec/server-http.md` 3.5). `push` is the upload a push makes to its target, `push-elsewhere` what it
 * takes of its source when that is on another server, `user-history` is to see what happened to a user, `inspect` to see
 * what is behind the server as a whole: its machine, metrics and log.
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

/** Who asks for what under which policy: the question a row of the table answers. */
interface Question {
  readonly caller: Caller
  readonly target: Target
  readonly policy: AccessPolicy
}

/**
 * The one table. A superuser passes every row but deleting root's or the own
 * account, and putting files into a mirror.
 */
const RULES: { readonly [A in Action]: (question: Question) => boolean } = {
  'user-create': (question) => isOpen(question) || isSuperuser(question),
  'user-modify': mayManage,
  'user-modify-password': (question) => mayManage(question) || isOwner(question),
  'user-delete': (question) => mayManage(question) && isDeletable(question),
  'token-list': (question) => mayManage(question) || isOwner(question),
  'token-create': (question) => mayManage(question) || isOwner(question),
  'token-revoke': (question) => mayManage(question) || isOwner(question),
  'user-history': (question) => isSuperuser(question) || isOwner(question),
  'index-create': mayManage,
  'index-modify': mayManage,
  'index-rename': mayManage,
  'index-delete': mayManage,
  // Whoever may write to an index can also read it, or could not check what was uploaded.
  read: (question) =>
    isSuperuser(question) || isOwner(question) || isAdmitted('acl_read', question) || isUploader(question),
  upload: mayUpload,
  push: mayUpload,
  // Whoever may read could do it alone, but who has this server do it is known by name.
  'push-elsewhere': ({ caller }) => caller.user !== undefined,
  'toxresult-upload': (question) => isSuperuser(question) || isAdmitted('acl_toxresult_upload', question),
  delete: (question) => mayManage(question) || isUploader(question),
  // Who could have removed it.
  undo: (question) => mayUndo(question),
  yank: mayUpload,
  // To overrule that an index is not volatile is more than to delete from it (wart W15).
  force: mayManage,
  inspect: (question) => isSuperuser(question) || question.caller.user === ROOT_USER,
}

/** The second column of the table: what an API token must be for. A token adds nothing to what its user may do. */
export const TOKEN_ACTION: { readonly [A in Action]: TokenAction } = {
  'user-create': 'admin',
  'user-modify': 'admin',
  'user-modify-password': 'admin',
  'user-delete': 'admin',
  'token-list': 'admin',
  'token-create': 'admin',
  'token-revoke': 'admin',
  'user-history': 'admin',
  'index-create': 'admin',
  'index-modify': 'admin',
  'index-rename': 'admin',
  'index-delete': 'admin',
  read: 'read',
  upload: 'upload',
  push: 'upload',
  'push-elsewhere': 'upload',
  'toxresult-upload': 'upload',
  delete: 'delete',
  undo: 'admin', // of contents, what their removal asks for
  // A stolen upload token must not be able to take releases away from everybody.
  yank: 'delete',
  force: 'admin',
  inspect: 'admin',
}

/**
 * Whether the table lets the caller do it. What everybody may read can be read
 * with any token: cached pages are answered before it is asked who wants them,
 * and they must not depend on who asked first.
 */
export function allows(caller: Caller, action: Action, target: Target): boolean {
  if (!passes(caller, action, target)) return false
  if (isInScope(caller, action, target)) return true
  return action === 'read' && passes({ ...caller, user: ANONYMOUS.user }, action, target)
}

/** Whether somebody logged in, with all rights: not with an API token that is for certain indexes or actions. */
export function hasFullRights(caller: Caller): boolean {
  if (caller.user === undefined) return false
  return caller.scope === undefined || covers(caller.scope, { action: 'admin', index: undefined })
}

function passes(caller: Caller, action: Action, target: Target): boolean {
  return RULES[action]({ caller, target, policy: caller.policy ?? DEFAULT_POLICY })
}

function isInScope({ scope }: Caller, action: Action, target: Target): boolean {
  return scope === undefined || covers(scope, scopeQuestion(action, target))
}

function scopeQuestion(action: Action, { user, indexName, removed }: Target): ScopeQuestion {
  const asked = action === 'undo' && removed === 'contents' ? 'delete' : action
  return { action: TOKEN_ACTION[asked], index: indexName === undefined ? undefined : `${user}/${indexName}` }
}

/**
 * Refuses what the caller may not do: `unauthenticated` with a challenge where
 * tools answer one by sending credentials, else `forbidden`, in the words
 * clients know (`spec/server-http.md` 3.5 and 17).
 */
export function authorize(caller: Caller, action: Action, target: Target): void {
  if (allows(caller, action, target)) return
  if (caller.rejected !== undefined) throw rejectedToken(caller.rejected)
  if (caller.user === undefined && CHALLENGED.has(action)) throw challenge()
  if (!isInScope(caller, action, target) && passes(caller, action, target)) throw outOfScope(caller, action, target)
  throw forbidden(caller, action, target)
}

/** The refusal of whoever must show credentials first. */
function challenge(): Refusal {
  return new Refusal('unauthenticated', 'login required, or the credentials were not accepted', {
    form: 'status',
    headers: CHALLENGE,
  })
}

const CHALLENGE = { 'WWW-Authenticate': 'Basic realm="pypi"' } as const

/** Tools print the reason phrase, if anything, so it has to say what is wrong with the token. */
function rejectedToken(why: string): Refusal {
  return new Refusal('unauthenticated', why, { form: 'reason', headers: CHALLENGE })
}

/** Its user may do it; the token is for something else. */
function outOfScope({ scope }: Caller, action: Action, target: Target): Refusal {
  const question = scopeQuestion(action, target)
  const { index } = question
  if (scope === undefined || coversIndex(scope, question)) {
    return new Refusal('forbidden', `this API token is not for the action '${question.action}'`, { form: 'reason' })
  }
  const what = index === undefined ? "users and tokens, which takes the action 'admin' on all indexes" : `the index ${index}`
  return new Refusal('forbidden', `this API token is not for ${what}`, { form: 'reason' })
}

/** pip, uv and twine send credentials only after a challenge. devpi-client prints a plain 403 better. */
const CHALLENGED: ReadonlySet<Action> = new Set<Action>([
  'read',
  'upload',
  'push',
  'push-elsewhere',
  'yank',
  // devpi-client does not know these.
  'token-list',
  'token-create',
  'token-revoke',
  'inspect',
])

function forbidden(caller: Caller, action: Action, target: Target): Refusal {
  const index = `${target.user}/${target.indexName ?? ''}`
  switch (action) {
    case 'user-modify':
      return new Refusal('forbidden', `no permission to modify user ${target.user}`)
    case 'user-modify-password':
      return new Refusal('forbidden', `no permission to change password for user ${target.user}`)
    case 'token-list':
    case 'token-create':
    case 'token-revoke':
      return new Refusal('forbidden', `no permission to see or change API tokens of user ${target.user}`)
    case 'index-create':
      return new Refusal('forbidden', `no permission to create index ${index}`)
    case 'read':
      return new Refusal('forbidden', 'package read forbidden')
    case 'upload':
      return new Refusal('forbidden', 'no permission to submit', { form: 'reason' })
    case 'push':
      return new Refusal('forbidden', `user '${caller.user}' cannot upload to '${index}'`)
    case 'toxresult-upload':
      return new Refusal(
        'forbidden',
        'No permission to upload tox results. You can use the devpi test --no-upload option to skip the upload.',
      )
    case 'yank':
      return new Refusal('forbidden', `no permission to yank on ${index}`)
    case 'force':
      return new Refusal('forbidden', `only its owner and root may use force on ${index}`)
    case 'push-elsewhere':
    case 'user-create':
    case 'user-delete':
    case 'user-history':
    case 'index-modify':
    case 'index-rename':
    case 'index-delete':
    case 'delete':
    case 'undo':
    case 'inspect':
      return new Refusal('forbidden', 'Access was denied to this resource.', { form: 'status' })
  }
}

function mayUndo(question: Question): boolean {
  switch (question.target.removed) {
    case 'index':
      return RULES['index-delete'](question)
    case 'contents':
      return RULES.delete(question)
    case 'contents-by-force':
      return RULES.force(question)
    default:
      return isSuperuser(question)
  }
}

function isOpen({ policy }: Question): boolean {
  return policy.signUp === 'open' && policy.managers === undefined
}

function isSuperuser({ caller, policy }: Question): boolean {
  if (caller.user === undefined) return false
  return policy.managers === undefined ? caller.user === ROOT_USER : policy.managers.includes(caller.user)
}

function isOwner({ caller, target }: Question): boolean {
  return caller.user !== undefined && caller.user === target.user
}

/** Superusers, and owners unless the operator restricted managing. */
function mayManage(question: Question): boolean {
  return isSuperuser(question) || (question.policy.managers === undefined && isOwner(question))
}

/** Root stays, and a manager cannot delete the account that manages. */
function isDeletable({ caller, target, policy }: Question): boolean {
  return target.user !== ROOT_USER && (policy.managers === undefined || target.user !== caller.user)
}

function mayUpload(question: Question): boolean {
  return question.target.index?.type === 'stage' && (isSuperuser(question) || isUploader(question))
}

/** An owner who is not on the list is none. */
function isUploader({ caller, target: { index } }: Question): boolean {
  return index?.type === 'stage' && isListed(caller, index.acl_upload)
}

/** Whether the caller is on a list that admits everyone when it is absent. Of an absent index nothing is admitted. */
function isAdmitted(list: 'acl_read' | 'acl_toxresult_upload', { caller, target: { index } }: Question): boolean {
  if (index === undefined) return false
  const members = list === 'acl_read' ? index.acl_read : index.type === 'stage' ? index.acl_toxresult_upload : undefined
  return members === undefined || isListed(caller, members)
}

/** `:group` entries of authentication plugins match nobody here; user names cannot contain a colon. */
function isListed(caller: Caller, members: readonly string[]): boolean {
  return members.some((member) => {
    const magic = member.startsWith(':') ? member.toUpperCase() : undefined
    if (magic === ':ANONYMOUS:') return true
    if (magic === ':AUTHENTICATED:') return caller.user !== undefined
    return caller.user !== undefined && member === caller.user
  })
}
