import { createHash } from 'node:crypto'
import { EMPTY_CHAIN, entryDigest, extendChain } from '#log-format/chain.js'
import { encodeEntry } from '#log-format/codec.js'
import type { Entry } from '#log-format/entry.js'
import { toSerial } from '#log-format/serial.js'

const FIRST: Entry = {
  serial: toSerial(0),
  time: 10,
  parent: EMPTY_CHAIN.digest,
  epoch: 1,
  actor: '+system',
  via: 'system',
  request: 'r',
  mutation: { kind: 'server-initialised' },
  changes: [],
}

const head = extendChain(EMPTY_CHAIN, FIRST, encodeEntry(FIRST))
const SECOND: Entry = { ...FIRST, serial: toSerial(1), parent: head.digest }

test('the digest is sha256 of the parent and the bytes', () => {
  const bytes = encodeEntry(FIRST)
  const sha256 = createHash('sha256').update(new Uint8Array(32)).update(bytes).digest()
  expect(Buffer.compare(entryDigest(FIRST.parent, bytes), sha256)).toBe(0)
})

test('an entry that continues the log moves the head', () => {
  const next = extendChain(head, SECOND, encodeEntry(SECOND))
  expect(next).toMatchObject({ serial: 1, time: 10, epoch: 1 })
})

test.each<[string, Partial<Entry>, string]>([
  ['a gap', { serial: toSerial(2) }, 'entry 2 does not continue the log: serial 1 was expected'],
  ['a serial again', { serial: toSerial(0) }, 'serial 1 was expected'],
  ['another parent', { parent: new Uint8Array(32).fill(1) }, 'its parent is 0101'],
  ['time running backwards', { time: 9 }, 'its time is before that of its predecessor'],
  ['a lower epoch', { epoch: 0 }, 'its epoch is below that of its predecessor'],
])('%s is refused', (_, changes, message) => {
  const entry = { ...SECOND, ...changes }
  expect(() => extendChain(head, entry, encodeEntry(entry))).toThrow(message)
})
