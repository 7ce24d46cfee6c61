import fc from 'fast-check'

import { RecentMap } from '#server/auth/recent-map.js'

test('the key touched longest ago is forgotten first', () => {
  const map = new RecentMap<number>(2)
  map.set('a', 1)
  map.set('b', 2)
  expect(map.get('a')).toBe(1)
  map.set('c', 3)

  expect(map.get('b')).toBeUndefined()
  expect(map.get('a')).toBe(1)
  expect(map.get('c')).toBe(3)
  map.delete('a')
  expect(map.size).toBe(1)
})

test('it never grows past its capacity, and keeps what was touched last', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.constantFrom(...'abcdefgh')), (capacity, touched) => {
      const map = new RecentMap<string>(capacity)
      for (const key of touched) map.set(key, key)
      const recent = [...new Set([...touched].reverse())].slice(0, capacity)
      expect(map.size).toBe(recent.length)
      for (const key of recent) expect(map.get(key)).toBe(key)
    }),
  )
})
