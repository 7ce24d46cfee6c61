import type { Action } from '#server/auth/actions.js'
import { TOKEN_ACTION } from '#server/auth/permissions.js'

/** Who passes a row of the permission table, in words; root passes all of them. A new action does not compile until it has some. */
const WHO: { readonly [A in Action]: string } = {
  'user-create': 'everybody, or with `--restrict-modify` only those it names',
  'user-modify': 'the user',
  'user-modify-password': 'the user',
  'user-delete': 'the user',
  'token-list': 'the user',
  'token-create': 'the user',
  'token-revoke': 'the user',
  'user-history': 'the user',
  'index-create': 'the user',
  'index-modify': 'the owner of the index',
  'index-rename': 'the owner of the index',
  'index-delete': 'the owner of the index',
  read: 'whoever may read the index (`acl_read`, and who may upload)',
  upload: 'whoever may upload to the index (`acl_upload`)',
  push: 'whoever may upload to the target (`acl_upload`)',
  'push-elsewhere': 'everybody who is logged in',
  'toxresult-upload': 'whoever may attach test reports (`acl_toxresult_upload`)',
  delete: 'the owner, and whoever may upload to the index (`acl_upload`)',
  undo: 'whoever could have removed it',
  yank: 'whoever may upload to the index (`acl_upload`)',
  force: 'the owner of the index, for `force`',
  'group-read': 'root, and those that `--restrict-modify` names',
  'group-modify': 'root, and those that `--restrict-modify` names',
  inspect: 'root',
}

/** One sentence without its full stop: `whoever may …; with an API token for …`. */
export function whoMay(actions: readonly Action[]): string {
  const who = [...new Set(actions.map((action) => WHO[action]))].join('; and ')
  const tokens = [...new Set(actions.map((action) => `\`${TOKEN_ACTION[action]}\``))]
  return `${who}. API tokens: ${tokens.join(' and ')}`
}
