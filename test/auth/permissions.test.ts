import { Refusal } from '#log-format/api/refusal.js'
import type { MirrorIndexValue, StageIndexValue } from '#log-format/values.js'
import { ANONYMOUS, type AccessPolicy, type Principal } from '#server/auth/caller.js'
import type { Action, Target } from '#server/auth/actions.js'
import { allows, authorize } from '#server/auth/permissions.js'

const STAGE: StageIndexValue = {
  type: 'stage',
  created: 0,
  volatile: true,
  acl_upload: ['nina', 'olga'],
  bases: [],
  mirror_whitelist: [],
  mirror_whitelist_inheritance: 'intersection',
}
const MIRROR: MirrorIndexValue = { type: 'mirror', created: 0, volatile: true }

/** Of whom paul alone is in a group. */
const CALLERS = ['anonymous', 'nina', 'olga', 'paul', 'root'] as const
type Who = (typeof CALLERS)[number]

function caller(who: Who): Principal {
  return who === 'anonymous' ? ANONYMOUS : { user: who, via: 'basic', groups: who === 'paul' ? ['devs'] : [] }
}

function whoMay(action: Action, target: Target, policy?: AccessPolicy): string {
  return CALLERS.filter((who) => allows({ ...caller(who), ...(policy && { policy }) }, action, target)).join(' ')
}

const EVERYONE = CALLERS.join(' ')
const LOGGED_IN = 'nina olga paul root'
const NINA: Target = { user: 'nina' }
const DEV = { user: 'nina', indexName: 'dev', index: STAGE } satisfies Target
const PYPI = { user: 'nina', indexName: 'pypi', index: MIRROR } satisfies Target

function stage(changes: Partial<StageIndexValue>): Target {
  return { ...DEV, index: { ...STAGE, ...changes } }
}

// spec/server-http.md 3.5, table "default server". nina owns, olga is on acl_upload.
test.each<[Action, Target, string]>([
  ['user-create', { user: 'new' }, EVERYONE],
  ['user-modify', NINA, 'nina root'],
  ['user-modify-password', NINA, 'nina root'],
  ['user-delete', NINA, 'nina root'],
  ['user-modify', { user: 'root' }, 'root'],
  ['user-delete', { user: 'root' }, ''],
  ['token-list', NINA, 'nina root'],
  ['token-create', NINA, 'nina root'],
  ['token-revoke', NINA, 'nina root'],
  ['token-create', { user: 'root' }, 'root'],
  ['user-history', NINA, 'nina root'],
  ['user-history', { user: 'root' }, 'root'],
  ['inspect', { user: 'root' }, 'root'],
  ['group-read', { user: 'root' }, 'root'],
  ['group-modify', { user: 'root' }, 'root'],
  ['read', { ...NINA, indexName: 'gone' }, 'nina root'],
  ['index-create', { ...NINA, indexName: 'dev' }, 'nina root'],
  ['index-modify', DEV, 'nina root'],
  ['index-rename', DEV, 'nina root'],
  ['index-delete', DEV, 'nina root'],
  ['read', DEV, EVERYONE],
  ['upload', DEV, 'nina olga root'],
  ['push', DEV, 'nina olga root'],
  ['push-elsewhere', DEV, 'nina olga paul root'],
  ['yank', DEV, 'nina olga root'],
  ['delete', DEV, 'nina olga root'],
  ['force', DEV, 'nina root'], // wart W15
  ['undo', { ...DEV, removed: 'index' }, 'nina root'],
  ['undo', { ...DEV, removed: 'contents' }, 'nina olga root'],
  ['undo', { ...DEV, removed: 'contents-by-force' }, 'nina root'],
  ['undo', { ...DEV, removed: 'orphaned' }, 'root'],
  ['undo', DEV, 'root'],
  ['toxresult-upload', DEV, EVERYONE],
  // Lists
  ['upload', stage({ acl_upload: [] }), 'root'], // the owner is not implied
  ['delete', stage({ acl_upload: [] }), 'nina root'],
  ['upload', stage({ acl_upload: [':ANONYMOUS:'] }), EVERYONE],
  ['upload', stage({ acl_upload: [':anonymous:'] }), EVERYONE],
  ['upload', stage({ acl_upload: [':Authenticated:'] }), LOGGED_IN],
  ['delete', stage({ acl_upload: [':AUTHENTICATED:'] }), LOGGED_IN],
  ['force', stage({ acl_upload: [':ANONYMOUS:'] }), 'nina root'],
  ['upload', stage({ acl_upload: [':paul', 'Nina', 'ANONYMOUS', 'anonymous', '', ':'] }), 'root'],
  ['toxresult-upload', stage({ acl_toxresult_upload: ['paul'] }), 'paul root'],
  ['toxresult-upload', stage({ acl_toxresult_upload: [] }), 'root'],
  // Groups
  ['read', stage({ acl_read: [':devs'], acl_upload: [] }), 'nina paul root'],
  ['upload', stage({ acl_upload: [':devs'] }), 'paul root'],
  ['push', stage({ acl_upload: [':devs'] }), 'paul root'],
  ['yank', stage({ acl_upload: [':devs'] }), 'paul root'],
  ['delete', stage({ acl_upload: [':devs'] }), 'nina paul root'],
  ['force', stage({ acl_upload: [':devs'] }), 'nina root'],
  ['toxresult-upload', stage({ acl_toxresult_upload: [':devs'] }), 'paul root'],
  ['index-modify', stage({ acl_upload: [':devs'] }), 'nina root'],
  ['read', stage({ acl_read: [':DEVS', 'devs', ':devs:', '::devs', ':'], acl_upload: [] }), 'nina root'],
  // Private indexes
  ['read', stage({ acl_read: ['paul'] }), 'nina olga paul root'],
  ['read', stage({ acl_read: [] }), 'nina olga root'],
  ['read', stage({ acl_read: [], acl_upload: [] }), 'nina root'],
  ['read', stage({ acl_read: [':AUTHENTICATED:'] }), LOGGED_IN],
  ['read', stage({ acl_read: [':ANONYMOUS:'] }), EVERYONE],
  // Mirrors take no files
  ['upload', PYPI, ''],
  ['push', PYPI, ''],
  ['yank', PYPI, ''],
  ['delete', PYPI, 'nina root'],
  ['index-modify', PYPI, 'nina root'],
  ['read', PYPI, EVERYONE],
  ['read', { ...PYPI, index: { ...MIRROR, acl_read: ['paul'] } }, 'nina paul root'],
  // An index that is not there
  ['read', { user: 'nina', indexName: 'none' }, 'nina root'],
  ['upload', { user: 'nina', indexName: 'none' }, ''],
  ['toxresult-upload', { user: 'nina', indexName: 'none' }, 'root'],
])('%s on %j: %s', (action, target, expected) => {
  expect(whoMay(action, target)).toBe(expected)
})

// The same table, column "with --restrict-modify".
test.each<[Action, Target, string]>([
  ['user-create', { user: 'new' }, 'olga'],
  ['user-modify', NINA, 'olga'],
  ['user-modify-password', NINA, 'nina olga'],
  ['user-delete', NINA, 'olga'],
  ['token-list', NINA, 'nina olga'],
  ['token-create', NINA, 'nina olga'],
  ['token-revoke', NINA, 'nina olga'],
  ['user-delete', { user: 'olga' }, ''],
  ['user-delete', { user: 'root' }, ''],
  ['index-create', { ...NINA, indexName: 'dev' }, 'olga'],
  ['index-modify', DEV, 'olga'],
  ['index-rename', DEV, 'olga'],
  ['upload', stage({ acl_upload: ['nina'] }), 'nina olga'],
  ['delete', stage({ acl_upload: ['nina'] }), 'nina olga'],
  ['read', stage({ acl_read: [], acl_upload: [] }), 'nina olga'],
  ['force', DEV, 'olga'],
  ['undo', { ...DEV, removed: 'index' }, 'olga'],
  ['undo', { user: 'nina', removed: 'orphaned' }, 'olga'],
  ['user-history', NINA, 'nina olga'],
  ['inspect', { user: 'root' }, 'olga root'],
])('with olga as the only manager, %s on %j: %s', (action, target, expected) => {
  expect(whoMay(action, target, { signUp: 'open', managers: ['olga'] })).toBe(expected)
})

test.each<[Action, Target, string]>([
  ['user-create', { user: 'new' }, 'paul'],
  ['user-delete', NINA, 'paul'],
  ['user-delete', { user: 'paul' }, ''],
  ['index-modify', DEV, 'paul'],
  ['upload', DEV, 'nina olga paul'],
  ['read', stage({ acl_read: [], acl_upload: [] }), 'nina paul'],
  ['inspect', { user: 'root' }, 'paul root'],
  // So that a group without members can get some.
  ['group-read', { user: 'root' }, 'paul root'],
  ['group-modify', { user: 'root' }, 'paul root'],
])('with a group of managers, %s on %j: %s', (action, target, expected) => {
  expect(whoMay(action, target, { signUp: 'open', managers: [':devs'] })).toBe(expected)
  expect(whoMay(action, target, { signUp: 'open', managers: [':devs', ':ANONYMOUS:', ':authenticated:'] })).toBe(expected)
})

test('a closed server lets only root create users (wart W1)', () => {
  expect(whoMay('user-create', { user: 'new' }, { signUp: 'closed' })).toBe('root')
})

test('an anonymous caller is nobody, even beside an empty name', () => {
  expect(allows(ANONYMOUS, 'index-create', { user: '' })).toBe(false)
  expect(allows(ANONYMOUS, 'upload', stage({ acl_upload: ['', '+anonymous', 'undefined'] }))).toBe(false)
})

function refusalOf(who: Who, action: Action, target: Target): Refusal | undefined {
  try {
    authorize(caller(who), action, target)
    return undefined
  } catch (error) {
    if (error instanceof Refusal) return error
    throw error
  }
}

const PRIVATE = stage({ acl_read: [], acl_upload: [], acl_toxresult_upload: [] })
const DENIED = 'Access was denied to this resource.'
const NO_TOKENS = 'no permission to see or change API tokens of user nina'
const NO_TOX = 'No permission to upload tox results. You can use the devpi test --no-upload option to skip the upload.'

// spec/server-http.md 3.5, "How a missing permission shows", and 17.
test.each<[Who, Action, Target, string, string, string]>([
  ['anonymous', 'user-delete', NINA, 'forbidden', 'status', DENIED],
  ['paul', 'user-delete', NINA, 'forbidden', 'status', DENIED],
  ['anonymous', 'index-modify', DEV, 'forbidden', 'status', DENIED],
  ['paul', 'index-delete', DEV, 'forbidden', 'status', DENIED],
  ['anonymous', 'delete', DEV, 'forbidden', 'status', DENIED],
  ['anonymous', 'index-create', { user: 'nina', indexName: 'dev' }, 'forbidden', 'message', 'no permission to create index nina/dev'],
  ['paul', 'user-modify', NINA, 'forbidden', 'message', 'no permission to modify user nina'],
  ['paul', 'user-modify-password', NINA, 'forbidden', 'message', 'no permission to change password for user nina'],
  ['paul', 'upload', PRIVATE, 'forbidden', 'reason', 'no permission to submit'],
  ['paul', 'push', PRIVATE, 'forbidden', 'message', "user 'paul' cannot upload to 'nina/dev'"], // wart W47
  ['anonymous', 'toxresult-upload', PRIVATE, 'forbidden', 'message', NO_TOX],
  ['paul', 'read', PRIVATE, 'forbidden', 'message', 'package read forbidden'],
  ['olga', 'force', DEV, 'forbidden', 'message', 'only its owner and root may use force on nina/dev'],
  ['paul', 'yank', DEV, 'forbidden', 'message', 'no permission to yank on nina/dev'],
  ['paul', 'token-list', NINA, 'forbidden', 'message', NO_TOKENS],
  ['paul', 'token-create', NINA, 'forbidden', 'message', NO_TOKENS],
  ['paul', 'token-revoke', NINA, 'forbidden', 'message', NO_TOKENS],
  ['paul', 'group-read', NINA, 'forbidden', 'message', 'no permission to see or change groups'],
  ['paul', 'group-modify', NINA, 'forbidden', 'message', 'no permission to see or change groups'],
])('%s is refused %s on %j as %s, %s: %s', (who, action, target, kind, form, message) => {
  expect(refusalOf(who, action, target)).toMatchObject({ kind, form, message, headers: {} })
})

test.each<Action>(['read', 'upload', 'push', 'push-elsewhere', 'yank', 'token-list', 'token-create', 'token-revoke', 'group-read', 'group-modify', 'inspect'])('%s without credentials is challenged to send some', (action) => {
  expect(refusalOf('anonymous', action, PRIVATE)).toMatchObject({
    kind: 'unauthenticated',
    form: 'status',
    headers: { 'WWW-Authenticate': 'Basic realm="pypi"' },
  })
})

test('who may is not refused', () => {
  expect(refusalOf('anonymous', 'read', DEV)).toBeUndefined()
  expect(refusalOf('olga', 'upload', DEV)).toBeUndefined()
  expect(refusalOf('root', 'read', PRIVATE)).toBeUndefined()
})
