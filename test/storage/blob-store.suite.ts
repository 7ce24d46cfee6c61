import { createHash } from 'node:crypto'
import { PassThrough, Readable } from 'node:stream'
import type { BlobStore, ListedBlob, ReceivedBlob, ReceiveOptions } from '#server/storage/blob-store.js'
import { readPieces } from '#server/storage/open-blob.js'
import { verifyBlob } from '#server/storage/verify-blob.js'

const ANY_SIZE: ReceiveOptions = { maxBytes: Number.MAX_SAFE_INTEGER }

/** What every blob store promises. `open` gives an empty one, to be disposed by the suite. */
export function blobStoreSuite(name: string, open: () => Promise<BlobStore & Partial<AsyncDisposable>>): void {
  describe(name, () => {
    let blobs: BlobStore & Partial<AsyncDisposable>
    beforeEach(async () => {
      blobs = await open()
    })
    afterEach(async () => {
      await blobs[Symbol.asyncDispose]?.()
    })

    test.each([
      ['nothing', 0, 1],
      ['one byte', 1, 1],
      ['a small file in many pieces', 5000, 7],
      ['just below one write', 262_143, 65_536],
      ['exactly one write', 262_144, 65_536],
      ['more than one write', 1_000_000, 65_536],
      ['one huge piece', 700_000, 700_000],
    ])('keeps %s', async (_, size, pieceBytes) => {
      const bytes = content(size)
      await using received = await blobs.receive(pieces(bytes, pieceBytes), ANY_SIZE)
      expect(received).toMatchObject({ sha256: sha256Of(bytes), size })
      expect(await blobs.stat(received.sha256)).toBeUndefined() // not a blob yet
      expect((await bytesOf(received)).equals(bytes)).toBe(true)

      await received.commit()
      expect(await blobs.stat(received.sha256)).toMatchObject({ size })
      expect(Buffer.from((await blobs.read(received.sha256)) ?? []).equals(bytes)).toBe(true)
      expect(await verifyBlob(blobs, received.sha256)).toBe('ok')
    })

    test('gives the digests that were asked for', async () => {
      // RFC 1321 A.5, FIPS 180-4 and the BLAKE2b-256 of "abc".
      const digests = ['md5', 'sha256', 'blake2b-256'] as const
      for (let round = 0; round < 2; round += 1) {
        await using received = await blobs.receive(Readable.from([Buffer.from('a'), Buffer.from('bc')]), { ...ANY_SIZE, digests })
        expect(received.digests).toEqual({
          md5: '900150983cd24fb0d6963f7d28e17f72',
          sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
          'blake2b-256': 'bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319',
        })
      }
      await using plain = await blobs.receive(Readable.from([Buffer.from('abc')]), ANY_SIZE)
      expect(Object.keys(plain.digests)).toEqual(['sha256'])
    })

    test('refuses what is too large, and leaves the stream to its owner', async () => {
      const stream = new PassThrough()
      stream.write(content(1001))
      await expect(blobs.receive(stream, { maxBytes: 1000 })).rejects.toMatchObject({ name: 'Refusal', kind: 'too-large' })
      expect(stream.destroyed).toBe(false)
      await using exact = await blobs.receive(pieces(content(1000), 300), { maxBytes: 1000 })
      expect(exact.size).toBe(1000)
    })

    test('rejects with what went wrong with the stream', async () => {
      const failed = new PassThrough()
      const receiving = blobs.receive(failed, ANY_SIZE)
      failed.write(content(10))
      failed.destroy(new Error('the cable was cut'))
      await expect(receiving).rejects.toThrow('the cable was cut')

      const closed = new PassThrough()
      const waiting = blobs.receive(closed, ANY_SIZE)
      closed.destroy()
      await expect(waiting).rejects.toThrow('closed before its end')
    })

    test('rejects with the reason of an abort, before and in the middle', async () => {
      const aborter = new AbortController()
      const receiving = blobs.receive(new PassThrough(), { ...ANY_SIZE, signal: aborter.signal })
      aborter.abort(new Error('enough'))
      await expect(receiving).rejects.toThrow('enough')
      await expect(blobs.receive(pieces(content(5), 5), { ...ANY_SIZE, signal: aborter.signal })).rejects.toThrow('enough')
    })

    test('forgets what was not committed', async () => {
      const received = await blobs.receive(pieces(content(10), 10), ANY_SIZE)
      await received[Symbol.asyncDispose]()
      expect(await blobs.stat(received.sha256)).toBeUndefined()
    })

    test('takes the same bytes any number of times, also at once', async () => {
      const bytes = content(300_000)
      await Promise.all(
        Array.from({ length: 5 }, async () => {
          await using received = await blobs.receive(pieces(bytes, 65_536), ANY_SIZE)
          await received.commit()
          expect(await verifyBlob(blobs, received.sha256)).toBe('ok')
        }),
      )
      using put = await blobs.putBytes(bytes)
      expect(await listed(blobs)).toMatchObject([{ sha256: put.sha256, size: 300_000 }])
    })

    test('reads at any offset, also what was deleted after it was opened', async () => {
      const bytes = content(1000)
      const { sha256 } = await put(blobs, bytes)
      const blob = await blobs.open(sha256)
      expect(blob?.size).toBe(1000)
      expect(await blobs.delete(sha256)).toBe(true)
      const buffer = Buffer.alloc(400)
      expect(await blob?.read(buffer, 300)).toBe(400)
      expect(buffer.equals(bytes.subarray(300, 700))).toBe(true)
      expect(await blob?.read(buffer, 900)).toBe(100)
      expect(await blob?.read(buffer, 1000)).toBe(0)
      expect(await blob?.read(buffer, 5000)).toBe(0)
      await blob?.close()
    })

    test('lists blobs in the order of their digests', async () => {
      const stored = []
      for (let size = 0; size < 20; size += 1) stored.push(await put(blobs, content(size)))
      const wanted = stored.map(({ sha256, size }) => ({ sha256, size })).sort((a, b) => (a.sha256 < b.sha256 ? -1 : 1))
      expect((await listed(blobs)).map(({ sha256, size }) => ({ sha256, size }))).toEqual(wanted)
    })

    test('answers undefined or false for what it does not have', async () => {
      const absent = sha256Of(content(77))
      expect(await blobs.stat(absent)).toBeUndefined()
      expect(await blobs.open(absent)).toBeUndefined()
      expect(await blobs.read(absent)).toBeUndefined()
      expect(await blobs.delete(absent)).toBe(false)
      expect(await verifyBlob(blobs, absent)).toBe('missing')
    })

    test('deletes nothing that is pinned, however often', async () => {
      const received = await blobs.receive(pieces(content(10), 10), ANY_SIZE)
      await received.commit()
      const second = blobs.pin(received.sha256)
      expect(await blobs.delete(received.sha256)).toBe(false)
      await received[Symbol.asyncDispose]()
      await received[Symbol.asyncDispose]() // lifts only its own pin
      expect(await blobs.delete(received.sha256)).toBe(false)
      second[Symbol.dispose]()
      expect(await blobs.delete(received.sha256)).toBe(true)
    })

    test('holds what is there, and nothing that a deletion is about to take', async () => {
      const { sha256 } = await put(blobs, content(10))
      const held = await blobs.hold(sha256)
      expect(held).toMatchObject({ sha256, size: 10 })
      expect(await blobs.delete(sha256)).toBe(false)
      held?.[Symbol.dispose]()

      const answer = signal<boolean>()
      const deleting = blobs.delete(sha256, { onlyIf: () => answer.promise })
      const holding = blobs.hold(sha256)
      answer.resolve(true)
      const [deleted, second] = await Promise.all([deleting, holding])
      expect({ deleted, held: second !== undefined }).toEqual({ deleted: false, held: true }) // the pin came before the unlink
      second?.[Symbol.dispose]()
      expect(await blobs.delete(sha256)).toBe(true)
      expect(await blobs.hold(sha256)).toBeUndefined()
      using again = await blobs.putBytes(content(10))
      expect(again.sha256).toBe(sha256)
    })

    test('a commit waits for a deletion of the same digest, then is there', async () => {
      const bytes = content(10)
      const { sha256 } = await put(blobs, bytes)
      const asked = signal<undefined>()
      const answer = signal<boolean>()
      const deleting = blobs.delete(sha256, {
        onlyIf: () => {
          asked.resolve(undefined)
          return answer.promise
        },
      })
      await asked.promise
      await using received = await blobs.receive(pieces(bytes, 10), ANY_SIZE)
      const committing = received.commit()
      answer.resolve(true)
      await Promise.all([deleting, committing])
      expect(await verifyBlob(blobs, sha256)).toBe('ok')
    })

    test('a deletion asks first', async () => {
      const { sha256 } = await put(blobs, content(3))
      expect(await blobs.delete(sha256, { onlyIf: () => false })).toBe(false)
      await expect(blobs.delete(sha256, { onlyIf: () => Promise.reject(new Error('no idea')) })).rejects.toThrow('no idea')
      expect(await blobs.delete(sha256, { onlyIf: async () => true })).toBe(true)
    })
  })
}

/** Bytes that differ by size and position. */
export function content(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let at = 0; at < size; at += 1) bytes[at] = at * 31 + (at >> 8) + size
  return bytes
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

export function pieces(bytes: Buffer, pieceBytes: number): Readable {
  const count = Math.ceil(bytes.length / pieceBytes)
  return Readable.from(Array.from({ length: count }, (_, at) => bytes.subarray(at * pieceBytes, (at + 1) * pieceBytes)))
}

async function put(blobs: BlobStore, bytes: Buffer): Promise<{ readonly sha256: string; readonly size: number }> {
  using stored = await blobs.putBytes(bytes)
  return { sha256: stored.sha256, size: stored.size }
}

/** Read back before the commit, first from the middle, as who looks into an archive does. */
async function bytesOf(received: ReceivedBlob): Promise<Buffer> {
  const content = await received.open()
  expect(content.size).toBe(received.size)
  const middle = Buffer.alloc(3)
  const read = await content.read(middle, Math.floor(received.size / 2))
  const pieces: Buffer[] = []
  await readPieces(content, (piece) => pieces.push(Buffer.from(piece)))
  await content.close()
  const bytes = Buffer.concat(pieces)
  expect(middle.subarray(0, read).equals(bytes.subarray(received.size / 2, received.size / 2 + 3))).toBe(true)
  return bytes
}

async function listed(blobs: BlobStore): Promise<ListedBlob[]> {
  const found = []
  for await (const blob of blobs.list()) found.push(blob)
  return found
}

function signal<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined
  const promise = new Promise<T>((settle) => (resolve = settle))
  return { promise, resolve }
}
