import { join } from 'node:path'
import fc from 'fast-check'
import { digestHex, EMPTY_CHAIN, extendChain } from '#log-format/chain.js'
import { encodeEntry } from '#log-format/codec.js'
import type { Frame } from '#log-format/framing.js'
import { nextSerial, type Serial, toSerial } from '#log-format/serial.js'
import { type EpochStart, epochStartText, parseEpochStart, prevails, type Reign } from '#server/storage/epoch-start.js'
import { openStorage, origin, someMutation, tempFolder } from './temp-storage.js'

const start = (serial: number, digit = 'a'): EpochStart => ({ serial: toSerial(serial), digest: digit.repeat(64) })

test.each<[string, Reign, Reign, boolean]>([
  ['a later epoch', { epoch: 2, start: start(1) }, { epoch: 1, start: start(9) }, true],
  ['a later epoch of which no more is said', { epoch: 2 }, { epoch: 1, start: start(9) }, true],
  ['a later start of one epoch, whatever the digest', { epoch: 1, start: start(9, '0') }, { epoch: 1, start: start(8, 'f') }, true],
  ['the greater digest at one serial', { epoch: 1, start: start(8, 'f') }, { epoch: 1, start: start(8, 'e') }, true],
  ['one history as it is said', { epoch: 2, history: 'a' }, { epoch: 1, history: 'a' }, true],
  ['a history that is not said', { epoch: 2, history: '' }, { epoch: 1, history: 'a' }, true],
  ['the same', { epoch: 1, start: start(8) }, { epoch: 1, start: start(8) }, false],
  ['one epoch, of which one side does not say the start', { epoch: 1, start: start(8) }, { epoch: 1 }, false],
  ['the first epoch', { epoch: 0 }, { epoch: 0 }, false],
  ['another history', { epoch: 2, start: start(8), history: 'a' }, { epoch: 1, start: start(8), history: 'b' }, false],
])('which of two prevails: %s', (_, one, other, isSo) => {
  expect([prevails(one, other), prevails(other, one)]).toEqual([isSo, false])
})

/** Few values, so that many are the same. */
const reigns = fc.record({
  epoch: fc.integer({ min: 1, max: 3 }),
  start: fc.record({ serial: fc.integer({ min: 1, max: 4 }).map(toSerial), digest: fc.constantFrom('0', '7', 'f').map((digit) => digit.repeat(64)) }),
})
const isSame = (a: Reign, b: Reign): boolean => JSON.stringify(a) === JSON.stringify(b)

test('of any two that differ exactly one prevails, and of any number one over all others', () => {
  fc.assert(
    fc.property(fc.array(reigns, { minLength: 2, maxLength: 6 }), (all) => {
      for (const one of all) {
        for (const other of all) expect([prevails(one, other), prevails(other, one)].filter(Boolean)).toHaveLength(isSame(one, other) ? 0 : 1)
      }
      // Whoever meets whom in which order, the same one is left.
      const last = (order: readonly Reign[]): Reign => order.reduce((left, met) => (prevails(met, left) ? met : left))
      const winner = last(all)
      expect(last([...all].reverse())).toEqual(winner)
      expect(all.every((one) => isSame(one, winner) || prevails(winner, one))).toBe(true)
    }),
  )
})

test.each(['', '12', '12-', `-${'a'.repeat(64)}`, `12-${'a'.repeat(63)}`, `12-${'A'.repeat(64)}`, `012-${'a'.repeat(64)}`, `12-${'a'.repeat(65)}`, `9999999999999999-${'a'.repeat(64)}`, undefined, 12])('no start of an epoch: %j', (text) => {
  expect(parseEpochStart(text)).toBeUndefined()
})

test('the start of an epoch is read as it was written', () => {
  const written = start(12, '3')
  expect(parseEpochStart(epochStartText(written))).toEqual(written)
})

test('a store knows the first entry of its epoch, wherever that lies', async () => {
  await using folder = await tempFolder()
  let stores = 0
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 5 }), async (runs) => {
      await using storage = await openStorage(join(folder.path, String((stores += 1))), { source: 'import' })
      let head = EMPTY_CHAIN
      let began: { serial: Serial; digest: string } | undefined
      for (const [epoch, entries] of runs.entries()) {
        const frames: Frame[] = []
        for (let at = 0; at < entries + 1; at += 1) {
          const entry = { ...origin(), serial: nextSerial(head.serial), parent: head.digest, epoch, mutation: someMutation, changes: [] }
          const bytes = encodeEntry(entry)
          head = extendChain(head, entry, bytes)
          if (at === 0) began = epoch === 0 ? undefined : { serial: head.serial, digest: digestHex(head.digest) }
          frames.push({ bytes, digest: head.digest })
        }
        await storage.importEntries(frames)
        expect(storage.reign).toEqual({ epoch, start: began, history: storage.history })
      }
    }),
    { numRuns: 20 },
  )
})
