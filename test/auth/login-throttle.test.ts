import fc from 'fast-check'

import { Refusal } from '#log-format/api/refusal.js'
import { LoginThrottle } from '#server/auth/login-throttle.js'

let nowMs: number
let throttle: LoginThrottle

beforeEach(() => {
  nowMs = Date.UTC(2026, 4, 4)
  throttle = new LoginThrottle({ now: () => nowMs })
})

/** Seconds to wait, or 0 when the attempt was let through, where it stays counted as a failure. */
function fail(user: string, address: string): number {
  try {
    throttle.admit(user, address)
    return 0
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    expect(error.kind).toBe('too-many-requests')
    return Number(error.headers['Retry-After'])
  }
}

function failTimes(times: number, user: string, address: string): void {
  for (let time = 0; time < times; time += 1) {
    const waitSeconds = fail(user, address)
    if (waitSeconds === 0) continue
    nowMs += waitSeconds * 1000
    expect(fail(user, address)).toBe(0)
  }
}

test('a few typing errors cost nothing, then each wait is twice the one before, up to a quarter of an hour', () => {
  for (let time = 0; time < 6; time += 1) expect(fail('nina', '192.0.2.1')).toBe(0)

  const waits: number[] = []
  for (let time = 0; time < 13; time += 1) {
    const waitSeconds = fail('nina', '192.0.2.1')
    waits.push(waitSeconds)
    nowMs += waitSeconds * 1000 - 1
    expect(fail('nina', '192.0.2.1')).toBe(1)
    nowMs += 1
    expect(fail('nina', '192.0.2.1')).toBe(0)
  }
  expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900])
})

test('guesses sent at once are counted before they are checked', () => {
  const outcomes = Array.from({ length: 1000 }, () => fail('nina', '192.0.2.1'))
  expect(outcomes.filter((waitSeconds) => waitSeconds === 0)).toHaveLength(6)
})

test('a success takes the failures of the user at that address away', () => {
  for (let time = 0; time < 5; time += 1) fail('nina', '192.0.2.1')
  throttle.admit('nina', '192.0.2.1').succeeded()
  for (let time = 0; time < 6; time += 1) expect(fail('nina', '192.0.2.1')).toBe(0)
  expect(fail('nina', '192.0.2.1')).toBe(1)
})

test('what is withdrawn was never counted', () => {
  for (let time = 0; time < 200; time += 1) throttle.admit('nina', '192.0.2.1').withdrawn()
  for (let time = 0; time < 6; time += 1) expect(fail('nina', '192.0.2.1')).toBe(0)
  expect(fail('nina', '192.0.2.1')).toBe(1)
})

test('successes of one user do not buy guesses at another', () => {
  for (let time = 0; time < 51; time += 1) {
    throttle.admit('mallory', '192.0.2.1').succeeded()
    expect(fail(`user${time}`, '192.0.2.1')).toBe(0)
  }
  expect(fail('nina', '192.0.2.1')).toBe(1)
})

test('one address that tries many users is slowed, others are not', () => {
  for (let time = 0; time < 51; time += 1) expect(fail(`user${time}`, '192.0.2.1')).toBe(0)
  expect(fail('nina', '192.0.2.1')).toBe(1)
  expect(fail('nina', '192.0.2.2')).toBe(0)
})

test('a user guessed at from everywhere waits seconds at a new address and not at all at a familiar one', () => {
  throttle.admit('nina', '198.51.100.7').succeeded()
  for (let time = 0; time < 101; time += 1) expect(fail('nina', `192.0.2.${time}`)).toBe(0)
  for (const expected of [1, 2, 4, 5, 5]) {
    const waitSeconds = fail('nina', '203.0.113.1')
    expect(waitSeconds).toBe(expected)
    nowMs += waitSeconds * 1000
    expect(fail('nina', '203.0.113.1')).toBe(0)
  }
  expect(fail('nina', '198.51.100.7')).toBe(0)
  expect(fail('olga', '203.0.113.2')).toBe(0)
})

test('a familiar address may not guess freely either', () => {
  throttle.admit('nina', '192.0.2.1').succeeded()
  for (let time = 0; time < 6; time += 1) fail('nina', '192.0.2.1')
  expect(fail('nina', '192.0.2.1')).toBe(1)
})

test.each([
  ['addresses of one IPv6 network', '2001:db8:1:1::1', '2001:db8:1:2:ffff::9', true],
  ['two spellings of one address', '2001:db8::1', '2001:DB8:0::0001', true],
  ['an IPv4 address and its IPv6 form', '192.0.2.1', '::ffff:192.0.2.1', true],
  ['two IPv6 networks', '2001:db8:1::1', '2001:db8:2::1', false],
  ['two IPv4 addresses', '192.0.2.1', '192.0.2.2', false],
])('%s: %s and %s are one guesser: %s', (_what, first, second, same) => {
  for (let time = 0; time < 6; time += 1) fail('nina', first)
  expect(fail('nina', second)).toBe(same ? 1 : 0)
})

test('unknown tokens count on their address alone', () => {
  for (let time = 0; time < 51; time += 1) throttle.countToken('192.0.2.1')
  expect(() => { throttle.countToken('192.0.2.1') }).toThrow('too many failed logins, try again in 1 second')
  expect(fail('nina', '192.0.2.1')).toBe(1)
  expect(fail('nina', '192.0.2.2')).toBe(0)
  throttle.countToken('192.0.2.2')
})

test('failures are forgotten after an hour', () => {
  failTimes(10, 'nina', '192.0.2.1')
  nowMs += 60 * 60 * 1000 + 1
  for (let time = 0; time < 6; time += 1) expect(fail('nina', '192.0.2.1')).toBe(0)
})

test('a small memory forgets the oldest and breaks nothing', () => {
  throttle = new LoginThrottle({ now: () => nowMs, capacity: 2 })
  const step = fc.record({
    user: fc.constantFrom('a', 'b', 'c', 'd'),
    address: fc.constantFrom('192.0.2.1', '192.0.2.2', '::1', ''),
    outcome: fc.constantFrom('failed', 'succeeded', 'withdrawn'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      for (const { user, address, outcome } of steps) {
        try {
          const attempt = throttle.admit(user, address)
          if (outcome === 'succeeded') attempt.succeeded()
          if (outcome === 'withdrawn') attempt.withdrawn()
        } catch (error) {
          expect(error).toMatchObject({ kind: 'too-many-requests' })
          expect(Number((error as Refusal).headers['Retry-After'])).toBeGreaterThan(0)
        }
      }
    }),
  )
})
