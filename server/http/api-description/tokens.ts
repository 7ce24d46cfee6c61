import { flag, json, listOf, mapOf, message, type Noun, object, ref, result, type Schema, text } from './description.js'

const SCOPE: Readonly<Record<'actions' | 'indexes', Schema>> = {
  actions: { ...listOf({ enum: ['read', 'upload', 'delete', 'admin'] }), minItems: 1 },
  indexes: { ...listOf(text()), minItems: 1, description: '`user/index` each, or `*` alone for all.' },
}

const TOKEN = {
  id: text(),
  user: text(),
  name: text(),
  ...SCOPE,
  created: text('`YYYY-MM-DDTHH:MM:SSZ`; of `expires`, too.'),
  expires: { type: ['string', 'null'] },
  expired: flag(),
} as const

export const tokens: Noun = {
  title: 'API tokens',
  text: 'A token does some of what its user may do, on the indexes it names. The server keeps a hash of it.',
  operations: [
    {
      id: 'listTokens',
      method: 'GET',
      path: '/{user}/+tokens',
      title: 'The tokens of a user',
      asks: ['token-list'],
      changes: false,
      replies: [result('list:tokenconfig', mapOf(ref('Token')), 'By id, expired ones too, without their secrets.')],
    },
    {
      id: 'createToken',
      method: 'POST',
      path: '/{user}/+tokens',
      title: 'Make a token',
      asks: ['token-create'],
      changes: true,
      body: json(
        object({
          name: { type: 'string', minLength: 1, maxLength: 100 },
          ...SCOPE,
          'expires?': { type: ['string', 'null'], description: 'A date or a moment, `2030-01-31` or `2030-01-31T12:00:00Z`; without it the token has no end.' },
        }),
        { name: 'ci of hello', actions: ['read', 'upload'], indexes: ['alice/dev'], expires: '2030-01-31' },
      ),
      replies: [result('tokenconfig', ref('NewToken'), 'The token; no other reply shows its secret.', 201)],
      refuses: { conflict: 'The user has too many tokens.' },
    },
    {
      id: 'showToken',
      method: 'GET',
      path: '/{user}/+tokens/{id}',
      title: 'A token',
      asks: ['token-list'],
      changes: false,
      replies: [result('tokenconfig', ref('Token'), 'The token, without its secret.')],
    },
    {
      id: 'revokeToken',
      method: 'DELETE',
      path: '/{user}/+tokens/{id}',
      title: 'Revoke a token',
      text: 'No request that begins after the answer is accepted with it.',
      asks: ['token-revoke'],
      changes: true,
      replies: [message('Revoked.')],
    },
  ],
  shapes: { Token: object(TOKEN), NewToken: object({ ...TOKEN, token: text('`devpi_` with an id and a secret.') }) },
}
