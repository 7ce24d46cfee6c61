import type { Action, Target } from './actions.js'
import { type AccessPolicy, ANONYMOUS, type Caller, DEFAULT_POLICY, type Principal, ROOT_USER } from './caller.js'
import { challenge, forbidden, isChallenged, outOfScope, rejectedToken } from './permission-refusals.js'
import { isListed, isNamed } from './principals.js'
import { covers, type ScopeQuestion, type TokenAction } from './token-scope.js'

/** Who asks for what under which policy: the question a row of the table answers. */
interface Question {
  readonly caller: Principal
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
  'group-read': isOperator,
  'group-modify': isOperator,
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
  inspect: isOperator,
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
  'group-read': 'admin',
  'group-modify': 'admin',
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
export function allows(caller: Principal, action: Action, target: Target): boolean {
  if (!passes(caller, action, target)) return false
  if (isInScope(caller, action, target)) return true
  return action === 'read' && passes({ ...caller, user: ANONYMOUS.user }, action, target)
}

/** Whether somebody logged in, with all rights: not with an API token that is for certain indexes or actions. */
export function hasFullRights(caller: Caller): boolean {
  if (caller.user === undefined) return false
  return caller.scope === undefined || covers(caller.scope, { action: 'admin', index: undefined })
}

function passes(caller: Principal, action: Action, target: Target): boolean {
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
export function authorize(caller: Principal, action: Action, target: Target): void {
  if (allows(caller, action, target)) return
  if (caller.rejected !== undefined) throw rejectedToken(caller.rejected)
  if (caller.user === undefined && isChallenged(action)) throw challenge()
  const { scope } = caller
  if (scope !== undefined && passes(caller, action, target)) throw outOfScope(scope, scopeQuestion(action, target))
  throw forbidden(caller, action, target)
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
  return policy.managers === undefined ? caller.user === ROOT_USER : isNamed(caller, policy.managers)
}

/** Root stays one, or a server whose managers are a group without members could never get any. */
function isOperator(question: Question): boolean {
  return isSuperuser(question) || question.caller.user === ROOT_USER
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
