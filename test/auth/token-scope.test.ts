import fc from 'fast-check'

import { Refusal } from '#log-format/api/refusal.js'
import type { StageIndexValue, TokenScope } from '#log-format/values.js'
import { ANONYMOUS, type Principal } from '#server/auth/caller.js'
import type { Action, Target } from '#server/auth/actions.js'
import { allows, authorize, hasFullRights } from '#server/auth/permissions.js'

/** An index that nobody but its users may see. */
const STAGE: StageIndexValue = {
  type: 'stage',
  created: 0,
  volatile: true,
  acl_read: [],
  acl_upload: ['nina'],
  acl_toxresult_upload: ['nina'],
  bases: [],
  mirror_whitelist: [],
  mirror_whitelist_inheritance: 'intersection',
}
const NINA: Target = { user: 'nina' }
const DEV: Target = { user: 'nina', indexName: 'dev', index: STAGE }
const OPEN: Target = { user: 'nina', indexName: 'open', index: { ...STAGE, acl_read: [':ANONYMOUS:'], acl_toxresult_upload: [':ANONYMOUS:'] } }

function withToken(actions: string, indexes: string, user = 'nina'): Principal {
  return { user, via: 'token', groups: [], scope: { actions: actions.split(' '), indexes: indexes.split(' ') } }
}

/** All that nina may do on her own: the server itself and groups are for root. */
const ACTIONS: Record<Exclude<Action, 'inspect' | 'group-read' | 'group-modify'>, Target> = {
  'user-create': { user: 'new' },
  'user-modify': NINA,
  'user-modify-password': NINA,
  'user-delete': NINA,
  'token-list': NINA,
  'token-create': NINA,
  'token-revoke': NINA,
  'user-history': NINA,
  'index-create': { user: 'nina', indexName: 'dev' },
  'index-modify': DEV,
  'index-rename': DEV,
  'index-delete': DEV,
  read: DEV,
  upload: DEV,
  push: DEV,
  'push-elsewhere': DEV,
  'toxresult-upload': DEV,
  delete: DEV,
  undo: { ...DEV, removed: 'contents' },
  yank: DEV,
  force: DEV,
}
const ALL = Object.keys(ACTIONS) as (keyof typeof ACTIONS)[]
const ON_INDEX = 'index-create index-modify index-rename index-delete read upload push push-elsewhere toxresult-upload delete undo yank force'

// Scope, and what of all that nina may do it leaves.
test.each<[string, string, string]>([
  ['read', 'nina/dev', 'read'],
  ['upload', 'nina/dev', 'upload push push-elsewhere toxresult-upload'],
  ['delete', 'nina/dev', 'delete undo yank'],
  ['read upload', 'nina/dev', 'read upload push push-elsewhere toxresult-upload'],
  ['read upload delete', 'nina/dev', 'read upload push push-elsewhere toxresult-upload delete undo yank'],
  ['admin', 'nina/dev', ON_INDEX],
  ['read', '*', 'read'],
  ['read upload delete', '*', 'read upload push push-elsewhere toxresult-upload delete undo yank'],
  ['admin', '*', ALL.join(' ')],
  // Not for this index
  ['read upload delete', 'nina/prod', ''],
  ['admin', 'nina/prod nina/dev2 nina/de olga/dev nina dev', ''],
  ['admin', 'NINA/dev nina/Dev nina/dev/ /nina/dev', ''],
  // Words that no release of today knows admit to nothing.
  ['sign launch', 'nina/dev', ''],
  ['Read', 'nina/dev', ''],
  ['read', 'nina/* ** *', 'read'],
  ['read', 'nina/* **', ''],
])('a token for %s on %s may: %s', (actions, indexes, expected) => {
  const caller = withToken(actions, indexes)
  const allowed = ALL.filter((action) => allows(caller, action, ACTIONS[action]))
  expect(allowed.join(' ')).toBe(expected)
})

// What took more than a token for removals, also takes more to be undone.
test.each(['index', 'contents-by-force', 'orphaned'] as const)('the removal of what was %s is undone with an admin token', (removed) => {
  const undo = (actions: string, user: string): boolean => allows(withToken(actions, 'nina/dev', user), 'undo', { ...DEV, removed })
  expect(undo('read upload delete', 'root')).toBe(false)
  expect(undo('admin', 'root')).toBe(true)
  expect(undo('admin', 'nina')).toBe(removed !== 'orphaned')
})

test.each(['inspect', 'group-read', 'group-modify'] as const)('a token of root may %s only when it is for everything', (action) => {
  const mayInspect = (actions: string, indexes: string): boolean => allows(withToken(actions, indexes, 'root'), action, { user: 'root' })
  expect([mayInspect('admin', '*'), mayInspect('read upload delete', '*'), mayInspect('admin', 'root/pypi')]).toEqual([true, false, false])
})

test('an empty scope admits to nothing', () => {
  const scopes: TokenScope[] = [{ actions: [], indexes: ['*'] }, { actions: ['admin'], indexes: [] }]
  for (const scope of scopes) {
    expect(ALL.filter((action) => allows({ user: 'nina', via: 'token', groups: [], scope }, action, ACTIONS[action]))).toEqual([])
  }
})

test('groups add nothing to what a token is for', () => {
  const member = (actions: string, indexes: string): Principal => ({ ...withToken(actions, indexes, 'paul'), groups: ['devs'] })
  const target: Target = { user: 'nina', indexName: 'dev', index: { ...STAGE, acl_upload: [':devs'] } }
  expect(allows(member('upload', 'nina/dev'), 'upload', target)).toBe(true)
  expect(allows(member('read', 'nina/dev'), 'upload', target)).toBe(false)
  expect(allows(member('upload', 'paul/dev'), 'upload', target)).toBe(false)
  expect(allows(withToken('upload', 'nina/dev', 'paul'), 'upload', target)).toBe(false)
})

// Cached pages are answered to everybody before it is asked who comes.
test('what everybody may read is read with any token, and nothing else of what everybody may do', () => {
  const caller = withToken('upload', 'nina/dev')
  expect(allows(caller, 'read', OPEN)).toBe(true)
  expect(allows(caller, 'toxresult-upload', OPEN)).toBe(false)
  expect(allows(caller, 'user-create', { user: 'new' })).toBe(false)
  expect(allows(caller, 'read', { ...OPEN, index: { ...STAGE, acl_read: [':AUTHENTICATED:'] } })).toBe(false)
})

test('a token never widens: what it allows its user may do, and what is beyond its scope it does not allow', () => {
  const users = fc.constantFrom('nina', 'olga', 'root')
  const member = fc.constantFrom('nina', 'olga', ':ANONYMOUS:', ':AUTHENTICATED:')
  const index = fc.record({
    type: fc.constant('stage' as const),
    created: fc.constant(0),
    volatile: fc.boolean(),
    acl_read: fc.array(member, { maxLength: 2 }),
    acl_upload: fc.array(member, { maxLength: 2 }),
    acl_toxresult_upload: fc.array(member, { maxLength: 2 }),
    bases: fc.constant([]),
    mirror_whitelist: fc.constant([]),
    mirror_whitelist_inheritance: fc.constant('union' as const),
  })
  const target: fc.Arbitrary<Target> = fc.oneof(fc.record({ user: users }), fc.record({ user: users, indexName: fc.constantFrom('dev', 'prod'), index }))
  const scope: fc.Arbitrary<TokenScope> = fc.record({
    actions: fc.subarray(['read', 'upload', 'delete', 'admin']),
    indexes: fc.oneof(fc.constant(['*']), fc.subarray(['nina/dev', 'nina/prod', 'olga/dev', 'root/dev'])),
  })
  fc.assert(
    fc.property(users, scope, target, fc.constantFrom(...ALL), (user, limits, on, action) => {
      const person: Principal = { user, via: 'basic', groups: [] }
      if (!allows({ ...person, scope: limits }, action, on)) return
      expect(allows(person, action, on)).toBe(true)
      if (action === 'read' && allows(ANONYMOUS, action, on)) return
      const name = on.indexName === undefined ? undefined : `${on.user}/${on.indexName}`
      expect(limits.indexes.includes('*') || (name !== undefined && limits.indexes.includes(name))).toBe(true)
      expect(limits.actions.length).toBeGreaterThan(0)
    }),
  )
})

test.each<[string, Principal, Action, Target, string, string]>([
  ['an index it is not for', withToken('upload', 'nina/prod'), 'upload', DEV, 'forbidden', 'this API token is not for the index nina/dev'],
  ['an action it is not for', withToken('read', 'nina/dev'), 'upload', DEV, 'forbidden', "this API token is not for the action 'upload'"],
  ['a yank', withToken('upload', '*'), 'yank', DEV, 'forbidden', "this API token is not for the action 'delete'"],
  ['reading', withToken('upload', 'nina/dev'), 'read', DEV, 'forbidden', "this API token is not for the action 'read'"],
  ['another token', withToken('read upload', '*'), 'token-create', NINA, 'forbidden', "this API token is not for the action 'admin'"],
  ['the password', withToken('admin', 'nina/dev'), 'user-modify-password', NINA, 'forbidden', "this API token is not for users and tokens, which takes the action 'admin' on all indexes"],
  ['what its user may not do either', withToken('upload', 'nina/dev', 'olga'), 'upload', DEV, 'forbidden', 'no permission to submit'],
  ['a rejected token', { ...ANONYMOUS, rejected: 'it is over' }, 'upload', DEV, 'unauthenticated', 'it is over'],
  ['a rejected token where nobody is challenged', { ...ANONYMOUS, rejected: 'it is over' }, 'delete', DEV, 'unauthenticated', 'it is over'],
])('%s is refused in one sentence that tools print', (_, caller, action, target, kind, message) => {
  let refusal: unknown
  try {
    authorize(caller, action, target)
  } catch (error) {
    refusal = error
  }
  expect(refusal).toBeInstanceOf(Refusal)
  expect(refusal).toMatchObject({ kind, message, form: 'reason', headers: kind === 'unauthenticated' ? { 'WWW-Authenticate': 'Basic realm="pypi"' } : {} })
})

test.each<[string, Principal, boolean]>([
  ['nobody', ANONYMOUS, false],
  ['a password', { user: 'nina', via: 'basic', groups: [] }, true],
  ['a token for everything', withToken('admin', '*'), true],
  ['a token for everything on an index', withToken('admin', 'nina/dev'), false],
  ['a token for all indexes', withToken('read upload delete', '*'), false],
])('full rights come with %s: %s', (_, caller, expected) => {
  expect(hasFullRights(caller)).toBe(expected)
})
