import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import type { Extract } from 'tar-stream'
import { type ArchiveSource, streamOf } from './archive-source.js'
import { BrokenArchive } from './broken-archive.js'

const MAX_ENTRIES = 200_000
/** How far a file is searched; a sane archive bigger than this counts as one without the wanted file. */
const MAX_INFLATED_BYTES = 2 * 1024 * 1024 * 1024
/** Above this, what does not fit is a bomb: source code packs four to ten times, deflate ends at 1032. */
const BOMB_RATIO = 100

/** How much of an archive is looked at; the default suits what people upload. */
export interface TarLimits {
  readonly limitBytes: number
  readonly maxInflatedBytes?: number
  readonly signal?: AbortSignal
}

/**
 * The first regular file of a `.tar.gz` whose path is `wanted`, or undefined.
 * Reads no further than that file, so damage behind it goes unnoticed. Throws
 * `BrokenArchive`, also for a wanted file of more than `limitBytes`.
 */
export async function findInTarGz(source: ArchiveSource, wanted: (path: string) => boolean, limits: TarLimits): Promise<Buffer | undefined> {
  const { maxInflatedBytes = MAX_INFLATED_BYTES, limitBytes, signal } = limits
  const { extract } = await import('tar-stream')
  const file = streamOf(source, signal)
  let packed = 0
  const entries = extract(EXTRACT_OPTIONS)
  const search = { exhausted: false }
  const gunzip = createGunzip({ chunkSize: 64 * 1024 })
  file.on('data', (chunk: Buffer) => (packed += chunk.length))
  pipeline(file, gunzip, boundInflation, entries, () => {}) // errors arrive through `entries`

  async function* boundInflation(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let inflated = 0
    for await (const chunk of chunks) {
      inflated += chunk.length
      if (inflated > maxInflatedBytes) {
        if (inflated > BOMB_RATIO * packed) throw new BrokenArchive('unpacks to far too many bytes')
        search.exhausted = true
        throw new BrokenArchive('is too big to be searched')
      }
      yield chunk
    }
  }

  try {
    return await findEntry(entries, wanted, limitBytes)
  } catch (error) {
    if (search.exhausted) return undefined
    throw translate(error)
  } finally {
    file.destroy()
    gunzip.destroy()
  }
}

/** Archives of the oldest format have no magic; their checksums are verified all the same. (The option is missing in the types.) */
const EXTRACT_OPTIONS = { allowUnknownFormat: true, highWaterMark: 64 * 1024 }

type Entry = Extract extends AsyncIterable<infer E> ? E : never

async function findEntry(
  entries: AsyncIterable<Entry>,
  wanted: (path: string) => boolean,
  limitBytes: number,
): Promise<Buffer | undefined> {
  let count = 0
  for await (const entry of entries) {
    if (++count > MAX_ENTRIES) throw new BrokenArchive(`has more than ${MAX_ENTRIES} files`)
    const { name, type } = entry.header
    if (wanted(name.replace(/^(?:\.\/)+/, ''))) {
      if (type !== 'file' && type !== 'contiguous-file') throw new BrokenArchive(`has a ${baseName(name)} that is not a regular file`)
      return await readEntry(entry, limitBytes)
    }
    entry.resume()
  }
  if (count === 0) throw new BrokenArchive('holds no files')
  return undefined
}

async function readEntry(entry: Entry, limitBytes: number): Promise<Buffer> {
  const tooLarge = new BrokenArchive(`has a ${baseName(entry.header.name)} of more than ${limitBytes} bytes`)
  if ((entry.header.size ?? 0) > limitBytes) throw tooLarge
  const chunks: Buffer[] = []
  for await (const chunk of entry) if (Buffer.isBuffer(chunk)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** Neither library has error classes: zlib's codes begin with `Z_`, and whatever has no code comes from the tar reader. */
function translate(error: unknown): unknown {
  if (error instanceof BrokenArchive || typeof error !== 'object' || error === null) return error
  const code = 'code' in error ? error.code : undefined
  if (code === 'Z_BUF_ERROR') return new BrokenArchive('is truncated', { cause: error })
  if (typeof code === 'string' && code.startsWith('Z_')) return new BrokenArchive('is not a gzip archive, or is damaged', { cause: error })
  if (code === undefined) return new BrokenArchive('is not a tar archive, or is truncated', { cause: error })
  return error
}
