import fc from 'fast-check'
import { utcTime } from '#server/packaging/utc-time.js'

test('a time is written as Date writes it', () => {
  const times = fc.oneof(fc.integer({ min: -8.64e15, max: 8.64e15 }), fc.integer({ min: 0, max: 4e12 }), fc.integer({ min: 1_700_000_000_000, max: 1_700_000_002_000 }))
  fc.assert(
    fc.property(times, (time) => {
      expect(utcTime(time)).toBe(new Date(time).toISOString())
    }),
    { numRuns: 2000 },
  )
})

test.each([0, 86_399_999, 86_400_000, -1, 1_709_164_799_999, 8.64e15, 1_700_000_000_000.7])('%d is', (time) => {
  expect(utcTime(time)).toBe(new Date(time).toISOString())
})

test.each([NaN, Infinity, 8.65e15])('%d is no time', (time) => {
  expect(() => utcTime(time)).toThrow(RangeError)
})
