import { flag, json, mapOf, message, type Noun, object, ONLY_JSON, ref, result, text } from './description.js'

const ABOUT_USER = {
  'email?': { description: 'Shown to whoever is logged in.' },
  'title?': { description: 'Any value, a text as a rule.' },
  'description?': { description: 'Any value, a text as a rule.' },
  'custom_data?': { description: 'Any value.' },
} as const

export const users: Noun = {
  title: 'Users',
  text: 'A user has a password, and indexes under the user\'s own name. `root` is the superuser.',
  operations: [
    {
      id: 'listUsers',
      method: 'GET',
      path: '/',
      title: 'All users',
      text: 'By name, each with those of the indexes that the caller may read.',
      asks: { noRight: 'of each user it shows what the caller may read' },
      changes: false,
      replies: [result('list:userconfig', mapOf(ref('User')), 'Users by name.')],
      refuses: ONLY_JSON,
    },
    {
      id: 'showUser',
      method: 'GET',
      path: '/{user}',
      title: 'A user',
      asks: { noRight: 'it shows what the caller may read' },
      changes: false,
      replies: [result('userconfig', ref('User'), 'The user, with those of the indexes that the caller may read.')],
    },
    {
      id: 'createUser',
      method: 'PUT',
      path: '/{user}',
      title: 'Sign up a user',
      text: 'Without password (`null`) a user works with API tokens only, which root makes. A `pwhash`, argon2id, is for root.',
      asks: ['user-create'],
      changes: true,
      body: json(
        object({ 'password?': { type: ['string', 'null'] }, 'pwhash?': { type: ['string', 'null'] }, ...ABOUT_USER }),
        { password: 'wonderland', email: 'alice@example.com' },
      ),
      replies: [result('userconfig', ref('User'), 'The user was created.', 201)],
      refuses: { conflict: 'There is a user of that name.' },
    },
    {
      id: 'modifyUser',
      method: 'PATCH',
      path: '/{user}',
      title: 'Change a user or a password',
      text:
        'Members that are not named keep their values. A new password ends all logins; `revoke_tokens` ends the API tokens as well. ' +
        'With `--restrict-modify` a user who is not named there can change the password and nothing else.',
      asks: ['user-modify', 'user-modify-password'],
      changes: true,
      body: json(
        object({
          'password?': { type: ['string', 'null'] },
          'pwhash?': { type: ['string', 'null'] },
          'revoke_tokens?': flag('Whether API tokens end with the old password.'),
          ...ABOUT_USER,
        }),
        { password: 'looking-glass' },
      ),
      replies: [
        {
          ...result('userpassword', ref('Login'), 'Changed.'),
          text: 'Changed. With a new password the reply is a new login, `{type: "userpassword", result, message}`; without one, a message.',
          schema: { anyOf: [result('userpassword', ref('Login'), '').schema ?? {}, ref('Message')] },
        },
      ],
    },
    {
      id: 'deleteUser',
      method: 'DELETE',
      path: '/{user}',
      title: 'Delete a user with all indexes',
      text: '`root` stays, and so does a user with an index that is not volatile. The removal can be undone while files are kept, passwords and tokens cannot.',
      asks: ['user-delete'],
      changes: true,
      replies: [message('Deleted.')],
    },
  ],
  shapes: {
    User: object({
      username: text(),
      created: text('`YYYY-MM-DDTHH:MM:SSZ`; of `modified`, too.'),
      'modified?': text(),
      indexes: mapOf(ref('Index')),
      ...ABOUT_USER,
    }),
  },
}
