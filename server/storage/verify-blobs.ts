import { keys } from '#log-format/keys.js'
import type { LinkValue, MirrorFileValue } from '#log-format/values.js'
import type { Database, RowOperation } from './database.js'
import { mapParallel } from './map-parallel.js'
import { scanned } from './past-scan.js'
import { keyRow, nameOfKeyRow, nameRange } from './rows.js'
import type { VerifyTools } from './verify-report.js'

/** What a blob store must answer to be verified. */
export interface VerifiableBlobs {
  /** Reads the whole blob again, streaming. */
  verify(sha256: string, size: number | undefined): Promise<'ok' | 'missing' | 'damaged'>
  /** The digests of all blobs that are stored. */
  list(): AsyncIterable<string>
}

/** Blobs read at the same time: enough to keep a disk busy. */
const PARALLEL = 4
const DIGESTS_AT_A_TIME = 500

/*
 * Which blobs are named is noted in the scratch database, next to the rows
 * folded into it, so that a blob named a thousand times is read once:
 *
 *     blob ␀ SHA256 ␀ SIZE    path of a link that names it
 *     named ␀ SHA256          nothing more
 *     mirrored ␀ SHA256       path of a file of a mirror, which need not lie here
 */
const BLOB_ROWS = { gte: 'blob\0', lt: 'blob\x01' }

interface BlobsInput extends VerifyTools {
  /** Has the rows that follow from the log. */
  readonly fresh: Database
  readonly blobs: VerifiableBlobs
}

/** Checks every blob that a current link names, and those of mirrors that lie here; counts the others. */
export async function verifyBlobs(input: BlobsInput): Promise<{ readonly blobs: number; readonly unnamedBlobs: number }> {
  const { fresh, blobs, report, progress } = input
  await noteNamedBlobs(fresh)
  await noteMirroredBlobs(fresh)
  let done = 0
  for await (const rows of fresh.batches(BLOB_ROWS)) {
    await mapParallel(rows, PARALLEL, async ([row, bytes]) => {
      const [, sha256 = '', size = ''] = row.split('\0')
      const outcome = await blobs.verify(sha256, Number(size))
      if (outcome !== 'ok') {
        const path = Buffer.from(bytes).toString()
        report({ subject: 'blob', message: `the blob ${sha256} of ${size} bytes, named by ${path}, is ${outcome}` })
      }
      done += 1
      progress({ phase: 'blobs', done })
    })
  }
  let unnamedBlobs = 0
  for await (const { sha256, path } of unlinked(fresh, blobs)) {
    if (path === undefined) {
      unnamedBlobs += 1
      continue
    }
    const outcome = await blobs.verify(sha256, undefined)
    if (outcome === 'damaged') report({ subject: 'blob', message: `the blob ${sha256}, cached for ${path}, is damaged; remove it, and the mirror fetches it again` })
    done += 1
    progress({ phase: 'blobs', done })
  }
  return { blobs: done, unnamedBlobs }
}

async function noteNamedBlobs(fresh: Database): Promise<void> {
  const { family, segments } = keys.link.under()
  const { from, to } = nameRange(family, segments)
  for await (const rows of fresh.batches({ gte: keyRow(from), lt: keyRow(to) })) {
    const notes: RowOperation[] = []
    for (const [row, bytes] of rows) {
      const link = scanned<LinkValue | null>(nameOfKeyRow(row), bytes, () => undefined)
      const { path } = keys.link(keys.link.params(link.segments))
      if (!isContent(link.value)) continue
      const { sha256, size } = link.value
      notes.push({ type: 'put', key: `blob\0${sha256}\0${size}`, value: Buffer.from(path) })
      notes.push({ type: 'put', key: `named\0${sha256}`, value: new Uint8Array() })
    }
    await fresh.write(notes, { sync: false })
  }
}

async function noteMirroredBlobs(fresh: Database): Promise<void> {
  const { family, segments } = keys.mirrorFile.under()
  const { from, to } = nameRange(family, segments)
  for await (const rows of fresh.batches({ gte: keyRow(from), lt: keyRow(to) })) {
    const notes = rows.flatMap(([row, bytes]): RowOperation[] => {
      const { value: file, segments: place } = scanned<Partial<MirrorFileValue> | null>(nameOfKeyRow(row), bytes, () => undefined)
      const digests = [file?.sha256, file?.coreMetadata].filter((digest) => typeof digest === 'string')
      return digests.map((sha256) => ({ type: 'put', key: `mirrored\0${sha256}`, value: Buffer.from(place.join('/')) }))
    })
    await fresh.write(notes, { sync: false })
  }
}

/** In a damaged log a value can be anything; the entry it is from was named. */
function isContent(value: unknown): value is { readonly sha256: string; readonly size: number } {
  return typeof value === 'object' && value !== null && 'sha256' in value && 'size' in value
}

/** Blobs that no link names, each with the path of a file of a mirror that it is, if it is one. */
async function* unlinked(fresh: Database, blobs: VerifiableBlobs): AsyncGenerator<{ readonly sha256: string; readonly path: string | undefined }> {
  let digests: string[] = []
  async function* told(): AsyncGenerator<{ readonly sha256: string; readonly path: string | undefined }> {
    const named = await fresh.getMany(digests.map((sha256) => `named\0${sha256}`))
    const mirrored = await fresh.getMany(digests.map((sha256) => `mirrored\0${sha256}`))
    for (const [at, sha256] of digests.entries()) {
      const path = mirrored[at]
      if (named[at] === undefined) yield { sha256, path: path && Buffer.from(path).toString() }
    }
    digests = []
  }
  for await (const sha256 of blobs.list()) {
    digests.push(sha256)
    if (digests.length >= DIGESTS_AT_A_TIME) yield* told()
  }
  yield* told()
}
