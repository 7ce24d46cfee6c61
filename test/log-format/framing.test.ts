import fc from 'fast-check'
import { FRAME_HEADER_BYTES, frameHeader, FrameReader } from '#log-format/framing.js'

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

test.each([0, 1, 0xffffffff])('a frame of %d bytes is refused, with its offset', (length) => {
  const header = frameHeader(new Uint8Array(2), new Uint8Array(32))
  new DataView(header.buffer).setUint32(0, length)
  expect(() => new FrameReader().push(header)).toThrow(`a frame of ${length} bytes at stream offset 0`)
})
