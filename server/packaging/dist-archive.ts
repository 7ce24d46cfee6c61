import { open, type FileHandle } from 'node:fs/promises'
import { Refusal } from '#log-format/api/refusal.js'
import { BrokenArchive } from './broken-archive.js'
import { MAX_CORE_METADATA_BYTES, parseCoreMetadata, type CoreMetadata } from './core-metadata.js'
import { findInTarGz } from './tar-archive.js'
import { readZipMember, visitZip, type ZipMember } from './zip-archive.js'

/** What an archive says about itself. `bytes` are the file as it is packed; of a wheel, what PEP 658 serves beside it. */
export type ArchivedMetadata =
  | { readonly kind: 'found'; readonly bytes: Uint8Array; readonly metadata: CoreMetadata }
  | { readonly kind: 'absent' }

export interface ReadOptions {
  /** Stops the reading; the promise then rejects with the signal's reason or an `AbortError`. */
  readonly signal?: AbortSignal
}

/**
 * Reads the core metadata out of the release file at `path`, whose format is
 * told by its public `filename`: `METADATA` of a wheel, `PKG-INFO` of an sdist
 * or egg. An sdist may lack it, and formats that are not looked into have
 * none: `absent`. Memory is bounded whatever the file claims. Refuses
 * `invalid`, in one sentence, what is not an archive of its format, is
 * truncated before the metadata, is made to mislead or exhaust a reader, and a wheel without `METADATA`.
 */
export async function readCoreMetadata(path: string, filename: string, options: ReadOptions = {}): Promise<ArchivedMetadata> {
  options.signal?.throwIfAborted()
  try {
    const bytes = await readerOf(filename)(path, options)
    if (bytes === undefined) return { kind: 'absent' }
    return { kind: 'found', bytes, metadata: parseCoreMetadata(new TextDecoder().decode(bytes)) }
  } catch (cause) {
    if (!(cause instanceof BrokenArchive || cause instanceof Refusal)) throw cause
    const separator = cause instanceof Refusal ? ': ' : ' '
    throw new Refusal('invalid', `'${filename}'${separator}${cause.message}`, { cause, form: 'reason' })
  }
}

type Reader = (path: string, options: ReadOptions) => Promise<Uint8Array | undefined>

function readerOf(filename: string): Reader {
  const lower = filename.toLowerCase()
  return READERS.find(([extension]) => lower.endsWith(extension))?.[1] ?? (async () => undefined)
}

const READERS: readonly (readonly [extension: string, reader: Reader])[] = [
  ['.whl', withHandle(readWheel)],
  ['.zip', withHandle((handle) => readPkgInfo(handle, /^[^/]+\/PKG-INFO$/))],
  ['.egg', withHandle((handle) => readPkgInfo(handle, /^EGG-INFO\/PKG-INFO$/))],
  ['.tar.gz', readTarball],
  ['.tgz', readTarball],
  ['.bz2', withHandle((handle) => requireMagic(handle, 'BZh', 'a bzip2 archive'))],
  ['.deb', withHandle((handle) => requireMagic(handle, '!<arch>\n', 'a Debian package'))],
  ['.rpm', withHandle((handle) => requireMagic(handle, '\xed\xab\xee\xdb', 'an RPM package'))],
  ['.exe', withHandle((handle) => requireMagic(handle, 'MZ', 'a Windows program'))],
  ['.msi', withHandle((handle) => requireMagic(handle, '\xd0\xcf\x11\xe0', 'a Windows installer package'))],
]

function withHandle(read: (handle: FileHandle) => Promise<Uint8Array | undefined>): Reader {
  return async (path, { signal }) => {
    const handle = await open(path)
    try {
      const bytes = await read(handle)
      signal?.throwIfAborted()
      return bytes
    } finally {
      await handle.close()
    }
  }
}

/** PEP 427: one folder `{name}-{version}.dist-info` at the top. Installers refuse a second one. */
async function readWheel(handle: FileHandle): Promise<Uint8Array> {
  const folders = new Set<string>()
  const found: ZipMember[] = []
  await visitZip(handle, (member) => {
    const slash = member.name.indexOf('/')
    const folder = member.name.slice(0, Math.max(slash, 0))
    if (!folder.endsWith('.dist-info')) return
    folders.add(folder)
    if (folders.size > 1) throw new BrokenArchive('has more than one .dist-info folder')
    if (member.name === `${folder}/METADATA`) found.push(member)
  })
  const metadata = onlyOne(found)
  if (metadata === undefined) throw new BrokenArchive('has no .dist-info/METADATA, which every wheel has')
  return await readZipMember(handle, metadata, MAX_CORE_METADATA_BYTES)
}

async function readPkgInfo(handle: FileHandle, wanted: RegExp): Promise<Uint8Array | undefined> {
  const found: ZipMember[] = []
  await visitZip(handle, (member) => {
    if (wanted.test(member.name)) found.push(member)
  })
  const pkgInfo = onlyOne(found)
  return pkgInfo === undefined ? undefined : await readZipMember(handle, pkgInfo, MAX_CORE_METADATA_BYTES)
}

function onlyOne(found: readonly ZipMember[]): ZipMember | undefined {
  if (found.length > 1) throw new BrokenArchive(`has its ${found[0]?.name.endsWith('PKG-INFO') ? 'PKG-INFO' : 'METADATA'} more than once`)
  return found[0]
}

/** The file right below the one top folder; sdists carry others, of `*.egg-info`, further down. */
async function readTarball(path: string, { signal }: ReadOptions): Promise<Uint8Array | undefined> {
  return await findInTarGz(path, (name) => /^[^/]+\/PKG-INFO$/.test(name), {
    limitBytes: MAX_CORE_METADATA_BYTES,
    ...(signal && { signal }),
  })
}

/** Enough to tell a release from a mix-up; what is inside such files is nobody's business here. */
async function requireMagic(handle: FileHandle, magic: string, what: string): Promise<undefined> {
  const start = Buffer.alloc(magic.length)
  await handle.read(start, 0, start.length, 0)
  if (start.toString('latin1') !== magic) throw new BrokenArchive(`is not ${what}`)
}
