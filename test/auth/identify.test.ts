import { Refusal } from '#log-format/api/refusal.js'
import type { JsonValue, TokenValue } from '#log-format/values.js'
import { newApiToken } from '#server/auth/api-tokens.js'
import { ANONYMOUS } from '#server/auth/caller.js'
import { Authenticator } from '#server/auth/identify.js'
import { LoginThrottle } from '#server/auth/login-throttle.js'
import { PasswordHasher } from '#server/auth/passwords.js'
import { issueToken } from '#server/auth/tokens.js'
import { createUserSecret, parseUserSecret, userSecretOf } from '#server/auth/user-secret.js'

/** Counts what would be slow with real costs. */
class CountingHasher extends PasswordHasher {
  checks = 0

  override verify(verifier: string | undefined, password: string): Promise<boolean> {
    this.checks += 1
    return super.verify(verifier, password)
  }
}

const SECRET = Buffer.from('0123456789abcdefghijklmnopqrstuvwxyzABCDEF')
const HERE = '192.0.2.1'
const TEN_HOURS_MS = 36_000_000
const NOBODY = { caller: ANONYMOUS, status: 'noauth' }
const EXPIRED = { caller: ANONYMOUS, status: 'expired' }

const SCOPE = { actions: ['upload'], indexes: ['nina/dev'] }

let nowMs: number
let vault: Map<string, JsonValue>
let tokenValues: Map<string, TokenValue>
let hasher: CountingHasher
let authenticator: Authenticator

async function setPassword(user: string, password: string): Promise<void> {
  vault.set(user, await createUserSecret(hasher, password))
}

function newAuthenticator(): Authenticator {
  const now = (): number => nowMs
  const throttle = new LoginThrottle({ now })
  const apiTokens = {
    secretOf: (id: string) => vault.get(`token ${id}`),
    valueOf: (user: string, id: string) => Promise.resolve(tokenValues.get(`${user} ${id}`)),
  }
  return new Authenticator({ secretOf: (user) => vault.get(user), apiTokens, secret: SECRET, hasher, throttle, now })
}

/** A good token of a user, and how to revoke it. */
function makeToken(user: string, changes: Partial<TokenValue> = {}): { readonly text: string; readonly revoke: () => void } {
  const { id, text, secret } = newApiToken(user)
  vault.set(`token ${id}`, secret)
  tokenValues.set(`${user} ${id}`, { name: 'ci', ...SCOPE, created: nowMs, ...changes })
  const revoke = (): void => {
    vault.delete(`token ${id}`)
    tokenValues.delete(`${user} ${id}`)
  }
  return { text, revoke }
}

const encode = (user: string, secret: string): string => Buffer.from(`${user}:${secret}`).toString('base64')
const basic = (user: string, secret: string) => ({ authorization: `Basic ${encode(user, secret)}` })
const devpi = (user: string, secret: string) => ({ 'x-devpi-auth': encode(user, secret) })
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

beforeEach(async () => {
  nowMs = Date.UTC(2026, 4, 4)
  vault = new Map()
  tokenValues = new Map()
  hasher = new CountingHasher({ memoryKib: 8, iterations: 1, parallelism: 1, concurrency: 2 })
  authenticator = newAuthenticator()
  await setPassword('nina', 's3cret')
})

test('password and token work in both headers', async () => {
  const { token, expirationSeconds } = await authenticator.login('nina', 's3cret', HERE)
  expect(expirationSeconds).toBe(36_000)
  for (const carry of [basic, devpi]) {
    const byPassword = await authenticator.identify(carry('nina', 's3cret'), HERE)
    expect(byPassword).toEqual({ caller: { user: 'nina', via: 'basic' }, status: 'ok' })
    const byToken = await authenticator.identify(carry('nina', token), HERE)
    expect(byToken).toEqual({ caller: { user: 'nina', via: 'token' }, status: 'ok' })
  }
  for (const headers of [bearer(token), basic('__token__', token)]) {
    expect(await authenticator.identify(headers, HERE)).toEqual({ caller: { user: 'nina', via: 'token' }, status: 'ok' })
  }
})

test('an empty password is a password', async () => {
  await setPassword('root', '')
  expect(await authenticator.identify(basic('root', ''), HERE)).toMatchObject({ caller: { user: 'root' } })
  expect(await authenticator.identify(basic('root', 'x'), HERE)).toEqual(NOBODY)
})

// spec/server-http.md 3.1: any failure makes the request anonymous.
test.each([
  ['nothing', {}],
  ['a wrong password', basic('nina', 'wrong')],
  ['an empty password', basic('nina', '')],
  ['an unknown user', basic('nobody', 's3cret')],
  ['another case of the name', basic('Nina', 's3cret')],
  ['a name that cannot be', basic('a/b', 's3cret')],
  ['an endless name', basic('x'.repeat(300), 's3cret')],
  ['what is malformed', { 'x-devpi-auth': '%%%' }],
  ['another scheme', { authorization: 'Digest abc' }],
  ['a bearer token of another system', { authorization: 'Bearer abc' }],
  ['a password as bearer', { authorization: 'Bearer s3cret' }],
  ['a wrong X-Devpi-Auth beside a right Basic', { ...devpi('nina', 'wrong'), ...basic('nina', 's3cret') }],
])('who sends %s is anonymous', async (_what, headers) => {
  expect(await authenticator.identify(headers, HERE)).toEqual(NOBODY)
})

test('a token works for the user it names only, and is no password', async () => {
  await setPassword('olga', 'other')
  const { token } = await authenticator.login('nina', 's3cret', HERE)
  expect(await authenticator.identify(devpi('olga', token), HERE)).toEqual(NOBODY)
  await expect(authenticator.login('nina', token, HERE)).rejects.toMatchObject({ kind: 'unauthenticated' })
})

test('a token ends after ten hours', async () => {
  const { token } = await authenticator.login('nina', 's3cret', HERE)
  nowMs += TEN_HOURS_MS - 1
  expect(await authenticator.identify(devpi('nina', token), HERE)).toMatchObject({ status: 'ok' })
  nowMs += 1
  expect(await authenticator.identify(devpi('nina', token), HERE)).toEqual(EXPIRED)
})

test('a token survives a restart, and ends with the password it was given for (wart W10)', async () => {
  const { token } = await authenticator.login('nina', 's3cret', HERE)
  authenticator = newAuthenticator()
  expect(await authenticator.identify(devpi('nina', token), HERE)).toMatchObject({ status: 'ok' })

  await setPassword('nina', 's3cret') // the same words, but set anew
  expect(await authenticator.identify(devpi('nina', token), HERE)).toEqual(EXPIRED)
  const renewed = authenticator.tokenFor('nina')?.token ?? ''
  expect(await authenticator.identify(devpi('nina', renewed), HERE)).toMatchObject({ status: 'ok' })

  vault.delete('nina')
  expect(await authenticator.identify(devpi('nina', renewed), HERE)).toEqual(EXPIRED)
  await setPassword('nina', 's3cret') // another person of the same name
  expect(await authenticator.identify(devpi('nina', renewed), HERE)).toEqual(EXPIRED)
})

test('a forged token is nobody, and costs no password check (wart W55)', async () => {
  const credential = parseUserSecret(vault.get('nina'))?.id ?? ''
  const forged = issueToken(Buffer.alloc(32, 1), { user: 'nina', credential }, nowMs)
  for (let time = 0; time < 100; time += 1) {
    expect(await authenticator.identify(devpi('nina', forged), HERE)).toEqual(NOBODY)
  }
  expect(hasher.checks).toBe(0)
  expect(await authenticator.identify(devpi('nina', 's3cret'), HERE)).toMatchObject({ status: 'ok' })
})

test('a token for a password that was changed during the login is not worth the new one', async () => {
  const login = authenticator.login('nina', 's3cret', HERE)
  vault.set('nina', userSecretOf('$argon2id$v=19$m=8,t=1,p=1$V8AEMSqwADAGcnUxNain5Q$dwTaa/qwSr4y+Nk67f0pk6WRAY1yDn2U8fIJ8wCDE/Y'))
  const { token } = await login
  expect(await authenticator.identify(devpi('nina', token), HERE)).toEqual(EXPIRED)
})

// spec/server-http.md 3.2 and 17
test.each(['nina', 'nobody'])('the words for a failed login do not tell whether %s exists', async (user) => {
  const refusal: unknown = await authenticator.login(user, 'wr0ng-guess', HERE).catch((error: unknown) => error)
  expect(refusal).toBeInstanceOf(Refusal)
  expect(refusal).toMatchObject({
    kind: 'unauthenticated',
    message: `user '${user}' could not be authenticated`,
    form: 'message',
    headers: {},
  })
  expect(hasher.checks).toBe(1) // an unknown user costs as much
})

test('a user without password never logs in', async () => {
  for (const value of [null, {}, 'x', { verifier: '', id: 'x' }, { verifier: 'plain', id: 'x' }, { verifier: 1, id: 2 }]) {
    vault.set('nina', value)
    authenticator = newAuthenticator()
    expect(authenticator.tokenFor('nina')).toBeUndefined()
    expect(await authenticator.identify(basic('nina', ''), HERE)).toEqual(NOBODY)
    expect(await authenticator.identify(basic('nina', 's3cret'), HERE)).toEqual(NOBODY)
  }
})

test('who guesses is told to wait, and the right password does not help then', async () => {
  for (let guess = 0; guess < 6; guess += 1) {
    expect(await authenticator.identify(basic('nina', `guess ${guess}`), HERE)).toEqual(NOBODY)
  }
  const throttled = { kind: 'too-many-requests', headers: { 'Retry-After': '1' } }
  await expect(authenticator.identify(basic('nina', 's3cret'), HERE)).rejects.toMatchObject(throttled)
  await expect(authenticator.login('nina', 's3cret', HERE)).rejects.toMatchObject(throttled)

  expect(await authenticator.identify(basic('nina', 's3cret'), '192.0.2.2')).toMatchObject({ status: 'ok' })
  nowMs += 1000
  expect(await authenticator.identify(basic('nina', 's3cret'), HERE)).toMatchObject({ status: 'ok' })
})

test('a token is never throttled', async () => {
  const { token } = await authenticator.login('nina', 's3cret', HERE)
  for (let guess = 0; guess < 6; guess += 1) await authenticator.identify(basic('nina', `guess ${guess}`), HERE)
  expect(await authenticator.identify(devpi('nina', token), HERE)).toMatchObject({ status: 'ok' })
})

test('an old password sent again and again is one guess, checked once', async () => {
  for (let time = 0; time < 200; time += 1) {
    expect(await authenticator.identify(basic('nina', 'old password'), HERE)).toEqual(NOBODY)
  }
  expect(hasher.checks).toBe(1)
  await setPassword('nina', 'old password')
  expect(await authenticator.identify(basic('nina', 'old password'), HERE)).toMatchObject({ status: 'ok' })
})

test('an installer that opens many connections at once makes one check and is not throttled', async () => {
  const replies = await Promise.all(
    Array.from({ length: 100 }, () => authenticator.identify(basic('nina', 's3cret'), HERE)),
  )
  expect(replies.every(({ status }) => status === 'ok')).toBe(true)
  expect(hasher.checks).toBe(1)
})

test('a check that could not be made does not count as a failure', async () => {
  hasher = new CountingHasher({ memoryKib: 8, iterations: 1, parallelism: 1, concurrency: 1, queueLimit: 0 })
  authenticator = newAuthenticator()
  for (let time = 0; time < 20; time += 1) {
    const busy = hasher.hash('other')
    await expect(authenticator.login('nina', 's3cret', HERE)).rejects.toMatchObject({ kind: 'too-many-requests' })
    await busy
  }
  expect(await authenticator.login('nina', 's3cret', HERE)).toMatchObject({ expirationSeconds: 36_000 })
})

test('no refusal shows what was sent as a secret', async () => {
  const refusals: unknown[] = []
  for (let guess = 0; guess < 8; guess += 1) {
    await authenticator.login('nina', `hush-${guess}`, HERE).catch((error: unknown) => refusals.push(error))
  }
  expect(refusals).toHaveLength(8)
  for (const refusal of refusals) expect(String(refusal)).not.toContain('hush')
})

describe('an API token', () => {
  const rejected = (why: string, status = 'noauth') => ({ caller: { ...ANONYMOUS, rejected: why }, status })
  const UNKNOWN = rejected('this API token is not known here, or was revoked')

  test.each<[string, (token: string) => Record<string, string>]>([
    ['as bearer', bearer],
    ['with the name of all tokens', (token) => basic('__token__', token)],
    ['with the name of its user', (token) => basic('nina', token)],
    ['in X-Devpi-Auth', (token) => devpi('nina', token)],
    ['in X-Devpi-Auth, with the name of all tokens', (token) => devpi('__token__', token)],
  ])('works %s, costs no password check, and brings its scope', async (_, carry) => {
    const { text } = makeToken('nina')
    expect(await authenticator.identify(carry(text), HERE)).toEqual({ caller: { user: 'nina', via: 'token', scope: SCOPE }, status: 'ok' })
    expect(hasher.checks).toBe(0)
  })

  test('does not work beside the name of somebody else', async () => {
    const { text } = makeToken('nina')
    expect(await authenticator.identify(basic('olga', text), HERE)).toEqual(rejected('this API token belongs to another user'))
  })

  test('works until the moment it expires', async () => {
    const { text } = makeToken('nina', { expires: nowMs + 1000 })
    nowMs += 999
    expect(await authenticator.identify(bearer(text), HERE)).toMatchObject({ status: 'ok' })
    nowMs += 1
    expect(await authenticator.identify(bearer(text), HERE)).toEqual(rejected('this API token has expired', 'expired'))
  })

  test('that was revoked, has another secret or never was is rejected in the same words', async () => {
    const { text, revoke } = makeToken('nina')
    const wrong = text.slice(0, -1) + (text.endsWith('A') ? 'B' : 'A')
    expect(await authenticator.identify(bearer(wrong), HERE)).toEqual(UNKNOWN)
    expect(await authenticator.identify(bearer(newApiToken('nina').text), HERE)).toEqual(UNKNOWN)
    revoke()
    expect(await authenticator.identify(bearer(text), HERE)).toEqual(UNKNOWN)
    expect(hasher.checks).toBe(0)
  })

  test('whose public part is gone is unknown, whatever the vault still has', async () => {
    const { text } = makeToken('nina')
    tokenValues.clear()
    expect(await authenticator.identify(bearer(text), HERE)).toEqual(UNKNOWN)
  })

  test.each([null, 'x', {}, { user: 'nina' }, { user: 1, sha256: 'a'.repeat(64) }, { user: 'nina', sha256: 'short' }, { user: 'nina', sha256: '0'.repeat(64) }])(
    'for which the vault has %j is unknown',
    async (value) => {
      const { text } = makeToken('nina')
      for (const name of vault.keys()) if (name.startsWith('token ')) vault.set(name, value)
      expect(await authenticator.identify(bearer(text), HERE)).toEqual(UNKNOWN)
    },
  )

  test('outlives a change of the password, and works for a user without one', async () => {
    const { text } = makeToken('nina')
    await setPassword('nina', 'another')
    expect(await authenticator.identify(bearer(text), HERE)).toMatchObject({ status: 'ok' })
    vault.delete('nina')
    expect(await authenticator.identify(bearer(text), HERE)).toMatchObject({ status: 'ok' })
  })

  test('of which a part is missing is no password of the user __token__', async () => {
    const why = 'this is no API token of this server, or only a part of one'
    expect(await authenticator.identify(basic('__token__', makeToken('nina').text.slice(0, -1)), HERE)).toEqual(rejected(why))
    expect(hasher.checks).toBe(0)
  })

  test('cannot be exchanged for a login', async () => {
    const { text } = makeToken('nina')
    await expect(authenticator.login('nina', text, HERE)).rejects.toMatchObject({
      kind: 'unauthenticated',
      message: 'an API token is not for logging in: send it with each request',
    })
  })

  test('that is unknown counts once, however often it is sent', async () => {
    const { text } = newApiToken('nina')
    for (let time = 0; time < 200; time += 1) expect(await authenticator.identify(bearer(text), HERE)).toEqual(UNKNOWN)
    expect(await authenticator.identify(basic('nina', 's3cret'), HERE)).toMatchObject({ status: 'ok' })
  })

  test('is let in from an address that sent too many unknown ones, which others are not', async () => {
    const { text } = makeToken('nina')
    for (let guess = 0; guess < 51; guess += 1) expect(await authenticator.identify(bearer(newApiToken('nina').text), HERE)).toEqual(UNKNOWN)
    const throttled = { kind: 'too-many-requests', headers: { 'Retry-After': '1' } }
    await expect(authenticator.identify(bearer(newApiToken('nina').text), HERE)).rejects.toMatchObject(throttled)
    await expect(authenticator.identify(basic('nina', 's3cret'), HERE)).rejects.toMatchObject(throttled)
    expect(await authenticator.identify(bearer(text), HERE)).toMatchObject({ status: 'ok' })
    expect(await authenticator.identify(basic('nina', 's3cret'), '192.0.2.2')).toMatchObject({ status: 'ok' })
  })
})
