import fc from 'fast-check'
import { FormatError } from '#log-format/errors.js'
import { FRAME_HEADER_BYTES, frameHeader, FrameReader, heartbeatFrame } from '#log-format/framing.js'
import { NO_SERIAL, toSerial } from '#log-format/serial.js'
import { Random } from '#test/support/random.js'

const frame = fc.record({
  bytes: fc.uint8Array({ minLength: 2, maxLength: 100 }),
  digest: fc.uint8Array({ minLength: 32, maxLength: 32 }),
})

test('frames come out as they went in, however the stream is cut', () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 5 }), fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 20 }), (frames, sizes) => {
      const stream = Buffer.concat(frames.flatMap(({ bytes, digest }) => [frameHeader(bytes, digest), bytes]))
      const reader = new FrameReader()
      const found = []
      for (let at = 0, cut = 0; at < stream.length; cut += 1) {
        const size = Math.max(1, sizes[cut % sizes.length] ?? 1)
        found.push(...reader.push(stream.subarray(at, at + size)))
        at += size
      }
      expect(found.map(({ bytes, digest }) => [[...bytes], [...digest]])).toEqual(frames.map(({ bytes, digest }) => [[...bytes], [...digest]]))
      expect(reader.pending).toBe(0)
    }),
  )
})

test('a stream that is cut off leaves something pending', () => {
  const reader = new FrameReader()
  const bytes = new Uint8Array(10)
  reader.push(frameHeader(bytes, new Uint8Array(32)))
  expect(reader.push(bytes.subarray(0, 9))).toEqual([])
  expect(reader.pending).toBe(FRAME_HEADER_BYTES + 9)
})

test.each([1, 128 * 1024 * 1024 + 1, 0xffffffff])('a frame of %d bytes is refused, with its offset', (length) => {
  const header = frameHeader(new Uint8Array(2), new Uint8Array(32))
  new DataView(header.buffer).setUint32(0, length)
  expect(() => new FrameReader().push(header)).toThrow(`a frame of ${length} bytes at stream offset 0`)
})

test('heartbeats between frames are no frames, and the newest one is kept', () => {
  const bytes = new Uint8Array(10)
  const frameBytes = [frameHeader(bytes, new Uint8Array(32)), bytes]
  const reader = new FrameReader()
  expect(reader.heartbeat).toBeUndefined()
  const early = heartbeatFrame({ head: NO_SERIAL, time: 0 })
  const late = { head: toSerial(2 ** 40), time: 1_800_000_000_000 }
  expect(reader.push(early.subarray(0, 20))).toEqual([])
  expect(reader.heartbeat).toBeUndefined()
  expect(reader.push(Buffer.concat([early.subarray(20), ...frameBytes, early, heartbeatFrame(late), ...frameBytes]))).toHaveLength(2)
  expect(reader.heartbeat).toEqual(late)
  expect(reader.pending).toBe(0)
})

test.each([
  [4, 'more entries than a serial can count'],
  [12, 'a time beyond all'],
  [20, 'something where zeros belong'],
  [35, 'something at its end'],
])('a heartbeat with a byte at %d, %s, is refused', (at) => {
  const bytes = heartbeatFrame({ head: toSerial(5), time: 1 })
  bytes[at] = 0xff
  expect(() => new FrameReader().push(bytes)).toThrow('a heartbeat that is none at stream offset 0')
})

test('a million random and mutated frames neither crash the reader nor make it grow', () => {
  const random = new Random(Date.now() % 1e9)
  const bytes = new Uint8Array(24).fill(7)
  const good = Buffer.concat([frameHeader(bytes, new Uint8Array(32)), bytes, heartbeatFrame({ head: toSerial(9), time: 9 })])
  let reader = new FrameReader()
  const outcomes = { frames: 0, faults: 0 }
  for (let round = 0; round < 500_000; round += 1) {
    const piece = Buffer.from(good) // two frames
    for (let flips = random.below(3); flips > 0; flips -= 1) piece[random.below(piece.length)] = random.below(256)
    const cut = random.below(8) === 0 ? random.below(piece.length) : piece.length
    try {
      outcomes.frames += reader.push(piece.subarray(0, cut)).length
      if (reader.pending < 2000) continue
    } catch (error) {
      if (!(error instanceof FormatError)) throw error
      outcomes.faults += 1
    }
    reader = new FrameReader()
  }
  expect(outcomes.frames).toBeGreaterThan(10_000)
  expect(outcomes.faults).toBeGreaterThan(10_000)
})
