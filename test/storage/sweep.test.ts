import { sweepBlobs } from '#server/storage/sweep.js'
import { MemoryBlobs } from '#test/support/memory-blobs.js'
import { content } from './blob-store.suite.js'

const HOUR_MS = 3_600_000

test('removes old blobs that nobody names or pins', async () => {
  const blobs = new MemoryBlobs()
  const [named, pinned, forgotten] = [await blobs.putBytes(content(1)), await blobs.putBytes(content(2)), await blobs.putBytes(content(3))]
  named[Symbol.dispose]()
  forgotten[Symbol.dispose]()
  const isNamed = async (sha256: string): Promise<boolean> => sha256 === named.sha256

  const soon = await sweepBlobs(blobs, { isNamed, olderThanMs: HOUR_MS, now: Date.now() })
  expect(soon).toEqual({ seen: 3, seenBytes: 6, removed: 0, removedBytes: 0 })

  const later = await sweepBlobs(blobs, { isNamed, olderThanMs: HOUR_MS, now: Date.now() + 2 * HOUR_MS })
  expect(later).toEqual({ seen: 3, seenBytes: 6, removed: 1, removedBytes: 3 })
  expect(await blobs.stat(forgotten.sha256)).toBeUndefined()
  expect(await blobs.stat(pinned.sha256)).toBeDefined()
  expect(await blobs.stat(named.sha256)).toBeDefined()
})

test('keeps a blob that is committed again, and named, while the sweep looks at it', async () => {
  const blobs = new MemoryBlobs()
  const first = await blobs.putBytes(content(1))
  first[Symbol.dispose]()
  const names = new Set<string>()
  const uploads: Promise<void>[] = []
  const isNamed = (sha256: string): boolean => {
    uploads.push(
      blobs.putBytes(content(1)).then((again) => {
        names.add(again.sha256)
        again[Symbol.dispose]()
      }),
    )
    return names.has(sha256)
  }
  await sweepBlobs(blobs, { isNamed, olderThanMs: 0, now: Date.now() + 1 })
  await Promise.all(uploads)
  expect(await blobs.stat(first.sha256)).toBeDefined()
})

test('stops when told to', async () => {
  const blobs = new MemoryBlobs()
  using _ = await blobs.putBytes(content(1))
  const sweeping = sweepBlobs(blobs, { isNamed: () => false, olderThanMs: 0, now: Date.now(), signal: AbortSignal.abort(new Error('stop')) })
  await expect(sweeping).rejects.toThrow('stop')
})
