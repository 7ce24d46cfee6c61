import { json, type Noun, object, ONLY_JSON, ref, result, text } from './description.js'

export const logins: Noun = {
  title: 'Logging in',
  text:
    'Credentials are sent with each request: `Authorization: Basic` with a password, a login token or an API token as the ' +
    'password, `Authorization: Bearer` with an API token, or `X-Devpi-Auth` with the base64 of `user:token`.',
  operations: [
    {
      id: 'logIn',
      method: 'POST',
      path: '/+login',
      title: 'A password for a login token',
      text: 'The token is valid for ten hours and ends with a change of the password. API tokens cannot be exchanged for a login.',
      asks: { noRight: 'it is how rights are come by; the log is not written' },
      changes: false,
      body: json(object({ user: text(), password: text() }), { user: 'alice', password: 'wonderland' }),
      replies: [result('proxyauth', ref('Login'), 'Logged in.')],
      refuses: { ...ONLY_JSON, unauthenticated: 'User and password do not belong together.', 'too-many-requests': 'Too many attempts failed; `Retry-After` says when to try again.' },
    },
  ],
  shapes: {
    Login: object({ password: text('To be sent instead of the password.'), expiration: { type: 'integer', description: 'Seconds for which it is valid.' } }),
  },
}
