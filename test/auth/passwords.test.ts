import { Refusal } from '#log-format/api/refusal.js'
import { isPasswordVerifier, MAX_PASSWORD_BYTES, PasswordHasher } from '#server/auth/passwords.js'

const CHEAP = { memoryKib: 8, iterations: 1, parallelism: 1, concurrency: 2 }
const SALT_AND_HASH = 'V8AEMSqwADAGcnUxNain5Q$dwTaa/qwSr4y+Nk67f0pk6WRAY1yDn2U8fIJ8wCDE/Y'

test.each(['s3cret', '', 'pass:word', 'pässwörd 🔑', 'x'.repeat(MAX_PASSWORD_BYTES)])(
  'the password %j matches its verifier and no other does',
  async (password) => {
    const hasher = new PasswordHasher(CHEAP)
    const verifier = await hasher.hash(password)
    expect(verifier).toMatch(/^\$argon2id\$v=19\$m=8,t=1,p=1\$/)
    expect(isPasswordVerifier(verifier)).toBe(true)

    expect(await hasher.verify(verifier, `${password}x`)).toBe(false)
    expect(await hasher.verify(verifier, password)).toBe(true)
    expect(await hasher.verify(verifier, password)).toBe(true) // remembered
    expect(await hasher.verify(verifier, `${password}x`)).toBe(false)
  },
)

test('equal passwords have different verifiers', async () => {
  const hasher = new PasswordHasher(CHEAP)
  expect(await hasher.hash('same')).not.toBe(await hasher.hash('same'))
})

test('a verifier with the costs of another server is checked', async () => {
  const verifier = await new PasswordHasher({ ...CHEAP, memoryKib: 32, iterations: 2, parallelism: 2 }).hash('s3cret')
  expect(await new PasswordHasher(CHEAP).verify(verifier, 's3cret')).toBe(true)
})

test('nobody has the password of a missing or malformed verifier', async () => {
  const hasher = new PasswordHasher(CHEAP)
  for (const verifier of [undefined, '', 'garbage', '$argon2id$v=19$m=8']) {
    expect(await hasher.verify(verifier, '')).toBe(false)
    expect(await hasher.verify(verifier, 's3cret')).toBe(false)
  }
})

test('a password that is too long or not text is refused when set, and never matches', async () => {
  const hasher = new PasswordHasher(CHEAP)
  const verifier = await hasher.hash('\ufffd')
  expect(await hasher.verify(verifier, '\ufffd')).toBe(true)
  expect(hasher.remembers(verifier, '\ufffd')).toBe(true)
  for (const password of ['x'.repeat(MAX_PASSWORD_BYTES + 1), 'é'.repeat(MAX_PASSWORD_BYTES / 2 + 1), '\ud800']) {
    await expect(hasher.hash(password)).rejects.toMatchObject({ kind: 'invalid' })
    expect(await hasher.verify(verifier, password)).toBe(false)
    expect(hasher.remembers(verifier, password)).toBe(false)
  }
})

test('what exceeds the queue is refused with a time to come back, and the rest is answered', async () => {
  const hasher = new PasswordHasher({ ...CHEAP, concurrency: 1, queueLimit: 2 })
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => hasher.hash('s3cret')))

  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'rejected'])
  const refusal: unknown = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))[0]
  expect(refusal).toBeInstanceOf(Refusal)
  expect(refusal).toMatchObject({ kind: 'too-many-requests', headers: { 'Retry-After': '1' } })
  expect(await hasher.hash('s3cret')).toContain('$argon2id$') // turns were given back
})

test('a remembered success needs no turn', async () => {
  const hasher = new PasswordHasher({ ...CHEAP, concurrency: 1, queueLimit: 0 })
  const verifier = await hasher.hash('s3cret')
  expect(await hasher.verify(verifier, 's3cret')).toBe(true)

  const busy = hasher.hash('other')
  await expect(hasher.verify(verifier, 'wrong')).rejects.toMatchObject({ kind: 'too-many-requests' })
  expect(await hasher.verify(verifier, 's3cret')).toBe(true)
  await busy
})

// RFC 9106 names, the PHC string format, and spec/server-http.md wart W11.
test.each([
  [true, `$argon2id$v=19$m=102400,t=2,p=8$${SALT_AND_HASH}`],
  [true, `$argon2id$v=19$m=8,t=1,p=1$${SALT_AND_HASH}`],
  [false, ''],
  [false, 'plain text'],
  [false, '$2b$12$abcdefghijklmnopqrstuv'],
  [false, `$argon2i$v=19$m=8,t=1,p=1$${SALT_AND_HASH}`],
  [false, `$argon2d$v=19$m=8,t=1,p=1$${SALT_AND_HASH}`],
  [false, `$argon2id$v=19$m=x,t=1,p=1$${SALT_AND_HASH}`],
  [false, `$argon2id$v=19$m=4194304,t=1,p=1$${SALT_AND_HASH}`],
  [false, `$argon2id$v=19$m=8,t=100000,p=1$${SALT_AND_HASH}`],
  [false, '$argon2id$v=19$m=8,t=1,p=1$V8AEMSqwADAGcnUxNain5Q'],
  [false, `$argon2id$v=19$m=8,t=1,p=1$${SALT_AND_HASH}${'A'.repeat(300)}`],
])('it is %s that %j is a verifier', (expected, text) => {
  expect(isPasswordVerifier(text)).toBe(expected)
})
