import { Refusal } from '#log-format/api/refusal.js'
import type { TokenScope } from '#log-format/values.js'
import type { Action, Target } from './actions.js'
import type { Caller } from './caller.js'
import { coversIndex, type ScopeQuestion } from './token-scope.js'

/** The refusal of whoever must show credentials first. */
export function challenge(): Refusal {
  return new Refusal('unauthenticated', 'login required, or the credentials were not accepted', {
    form: 'status',
    headers: CHALLENGE,
  })
}

const CHALLENGE = { 'WWW-Authenticate': 'Basic realm="pypi"' } as const

/** Tools print the reason phrase, if anything, so it has to say what is wrong with the token. */
export function rejectedToken(why: string): Refusal {
  return new Refusal('unauthenticated', why, { form: 'reason', headers: CHALLENGE })
}

/** Its user may do it; the token is for something else. */
export function outOfScope(scope: TokenScope, question: ScopeQuestion): Refusal {
  const { action, index } = question
  if (coversIndex(scope, question)) {
    return new Refusal('forbidden', `this API token is not for the action '${action}'`, { form: 'reason' })
  }
  const what = index === undefined ? "users and tokens, which takes the action 'admin' on all indexes" : `the index ${index}`
  return new Refusal('forbidden', `this API token is not for ${what}`, { form: 'reason' })
}

/** Whether nobody is asked for credentials: pip, uv and twine send them only then. devpi-client prints a plain 403 better. */
export function isChallenged(action: Action): boolean {
  return CHALLENGED.has(action)
}

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
  'group-read',
  'group-modify',
  'inspect',
])

/** In the words that clients know (`spec/server-http.md` 3.5 and 17). */
export function forbidden(caller: Caller, action: Action, target: Target): Refusal {
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
    case 'group-read':
    case 'group-modify':
      return new Refusal('forbidden', 'no permission to see or change groups')
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
