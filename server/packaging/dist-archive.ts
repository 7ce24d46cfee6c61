import { Refusal } from '#log-format/api/refusal.js'
import { type ArchiveSource } from './archive-source.js'
import { BrokenArchive } from './broken-archive.js'
import { MAX_CORE_METADATA_BYTES, parseCoreMetadata, type CoreMetadata } from './core-metadata.js'
import { findInTarGz } from './tar-archive.js'
import { readZipMember, visitZip } from './zip-archive.js'
import { type ZipMember } from './zip-directory.js'

/** What an archive says about itself. `bytes` are the file as it is packed; of a wheel, what PEP 658 serves beside it. */
export type ArchivedMetadata =
  | { readonly kind: 'found'; readonly bytes: Uint8Array; readonly metadata: CoreMetadata }
  | { readonly kind: 'absent' }

export interface ReadOptions {
  /** Stops the reading; the promise then rejects with the signal's reason or an `AbortError`. */
  readonly signal?: AbortSignal
}

/**
 * Reads the core metadata out of a release file, whose format is told by its
 * public `filename`: `METADATA` of a wheel, `PKG-INFO` of an sdist
 * or egg. An sdist may lack it, and formats that are not looked into have
 * none: `absent`. Memory is bounded whatever the file claims. Refuses
 * `invalid`, in one sentence, what is not an archive of its format, is
 * truncated before the metadata, is made to mislead or exhaust a reader, and a wheel without `METADATA`.
 */
export async function readCoreMetadata(source: ArchiveSource, filename: string, options: ReadOptions = {}): Promise<ArchivedMetadata> {
  options.signal?.throwIfAborted()
  try {
    const bytes = await readerOf(filename)(source, options)
    options.signal?.throwIfAborted()
    if (bytes === undefined) return { kind: 'absent' }
    return { kind: 'found', bytes, metadata: parseCoreMetadata(new TextDecoder().decode(bytes)) }
  } catch (cause) {
    if (!(cause instanceof BrokenArchive || cause instanceof Refusal)) throw cause
    const separator = cause instanceof Refusal ? ': ' : ' '
    throw new Refusal('invalid', `'${filename}'${separator}${cause.message}`, { cause, form: 'reason' })
  }
}

type Reader = (source: ArchiveSource, options: ReadOptions) => Promise<Uint8Array | undefined>

function readerOf(filename: string): Reader {
  const lower = filename.toLowerCase()
  return READERS.find(([extension]) => lower.endsWith(extension))?.[1] ?? (async () => undefined)
}

const READERS: readonly (readonly [extension: string, reader: Reader])[] = [
  ['.whl', readWheel],
  ['.zip', (source) => readPkgInfo(source, /^[^/]+\/PKG-INFO$/)],
  ['.egg', (source) => readPkgInfo(source, /^EGG-INFO\/PKG-INFO$/)],
  ['.tar.gz', readTarball],
  ['.tgz', readTarball],
  ['.bz2', (source) => requireMagic(source, 'BZh', 'a bzip2 archive')],
  ['.deb', (source) => requireMagic(source, '!<arch>\n', 'a Debian package')],
  ['.rpm', (source) => requireMagic(source, '\xed\xab\xee\xdb', 'an RPM package')],
  ['.exe', (source) => requireMagic(source, 'MZ', 'a Windows program')],
  ['.msi', (source) => requireMagic(source, '\xd0\xcf\x11\xe0', 'a Windows installer package')],
]

/** PEP 427: one folder `{name}-{version}.dist-info` at the top. Installers refuse a second one. */
async function readWheel(source: ArchiveSource): Promise<Uint8Array> {
  const folders = new Set<string>()
  const found: ZipMember[] = []
  await visitZip(source, (member) => {
    const slash = member.name.indexOf('/')
    const folder = member.name.slice(0, Math.max(slash, 0))
    if (!folder.endsWith('.dist-info')) return
    folders.add(folder)
    if (folders.size > 1) throw new BrokenArchive('has more than one .dist-info folder')
    if (member.name === `${folder}/METADATA`) found.push(member)
  })
  const metadata = onlyOne(found)
  if (metadata === undefined) throw new BrokenArchive('has no .dist-info/METADATA, which every wheel has')
  return await readZipMember(source, metadata, MAX_CORE_METADATA_BYTES)
}

async function readPkgInfo(source: ArchiveSource, wanted: RegExp): Promise<Uint8Array | undefined> {
  const found: ZipMember[] = []
  await visitZip(source, (member) => {
    if (wanted.test(member.name)) found.push(member)
  })
  const pkgInfo = onlyOne(found)
  return pkgInfo === undefined ? undefined : await readZipMember(source, pkgInfo, MAX_CORE_METADATA_BYTES)
}

function onlyOne(found: readonly ZipMember[]): ZipMember | undefined {
  if (found.length > 1) throw new BrokenArchive(`has its ${found[0]?.name.endsWith('PKG-INFO') ? 'PKG-INFO' : 'METADATA'} more than once`)
  return found[0]
}

/** The file right below the one top folder; sdists carry others, of `*.egg-info`, further down. */
async function readTarball(source: ArchiveSource, { signal }: ReadOptions): Promise<Uint8Array | undefined> {
  return await findInTarGz(source, (name) => /^[^/]+\/PKG-INFO$/.test(name), {
    limitBytes: MAX_CORE_METADATA_BYTES,
    ...(signal && { signal }),
  })
}

/** Enough to tell a release from a mix-up; what is inside such files is nobody's business here. */
async function requireMagic(source: ArchiveSource, magic: string, what: string): Promise<undefined> {
  const start = Buffer.alloc(magic.length)
  await source.read(start, 0)
  if (start.toString('latin1') !== magic) throw new BrokenArchive(`is not ${what}`)
}
