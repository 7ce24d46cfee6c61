import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { isPep440 } from '#log-format/version.js'
import { Failure } from './failure.js'
import { codeOf } from './system-faults.js'

const MOST_METADATA_BYTES = 5 * 1024 * 1024

/** What the form of an upload says of a file, in its order. */
export type MetadataFields = readonly (readonly [field: string, value: string])[]

/** A file to upload and what is known of it. */
export interface Distribution {
  readonly path: string
  readonly filename: string
  readonly name: string
  /** Undefined for documentation whose name states none: then it is for the newest version. */
  readonly version: string | undefined
  readonly action: 'file_upload' | 'doc_upload'
  readonly fields: MetadataFields
}

/** Headers of core metadata and the fields they become. */
const FIELDS: Readonly<Record<string, string>> = {
  'metadata-version': 'metadata_version',
  name: 'name',
  version: 'version',
  summary: 'summary',
  'home-page': 'home_page',
  'download-url': 'download_url',
  author: 'author',
  'author-email': 'author_email',
  maintainer: 'maintainer',
  'maintainer-email': 'maintainer_email',
  license: 'license',
  'license-expression': 'license_expression',
  'license-file': 'license_file',
  description: 'description',
  'description-content-type': 'description_content_type',
  keywords: 'keywords',
  classifier: 'classifiers',
  platform: 'platform',
  'supported-platform': 'supported_platform',
  requires: 'requires',
  provides: 'provides',
  obsoletes: 'obsoletes',
  'requires-dist': 'requires_dist',
  'provides-dist': 'provides_dist',
  'obsoletes-dist': 'obsoletes_dist',
  'requires-external': 'requires_external',
  'requires-python': 'requires_python',
  'project-url': 'project_urls',
  'provides-extra': 'provides_extras',
  dynamic: 'dynamic',
}

const DOCS = /^(.+?)(?:-(\d[^-]*|v\d[^-]*))?\.docs?\.zip$/i
/** Documentation that is to be repacked before. */
export const DOCS_TAR = /\.docs?\.(?:tar\.gz|tgz)$/i
/** Sdists as they once were. */
const OLD_TAR = /\.(?:tar\.(?:bz2|xz|lzma|z)|tbz2?|txz)$/i

/** Endings of what is taken out of a folder. */
const ARCHIVE = /\.(egg|tar|tar\.bz2|tar\.gz|tgz|whl|zip)$/

export function isArchiveName(filename: string): boolean {
  return ARCHIVE.test(filename)
}

/** Reads what a file says about itself. Fails with one sentence that names the file. */
export async function readDistribution(path: string, interrupted: AbortSignal): Promise<Distribution> {
  const filename = basename(path)
  const docs = DOCS.exec(filename)
  if (docs !== null) return documentation(path, filename, docs)
  if (DOCS_TAR.test(filename)) throw new Failure('UPLOAD_FAILED', `${filename}: documentation is sent as .doc.zip`)
  const text = await metadataText(path, filename, interrupted)
  const headers = parseHeaders(text)
  const name = headers.find(([header]) => header === 'name')?.[1] ?? ''
  const version = headers.find(([header]) => header === 'version')?.[1] ?? ''
  if (name === '' || version === '') throw new Failure('UPLOAD_FAILED', `${filename}: does not contain PKGINFO, skipping`)
  const { pyversion, filetype } = kindOf(filename)
  const fields = headers.flatMap(([header, value]): [string, string][] => {
    const field = Object.hasOwn(FIELDS, header) ? FIELDS[header] : undefined
    return field === undefined ? [] : [[field, value]]
  })
  return { path, filename, name, version, action: 'file_upload', fields: [...fields, ['pyversion', pyversion], ['filetype', filetype]] }
}

function documentation(path: string, filename: string, [, stem = '', found]: RegExpExecArray): Distribution {
  const version = found !== undefined && isPep440(found) ? found : undefined
  const name = version === undefined && found !== undefined ? `${stem}-${found}` : stem
  return { path, filename, name, version, action: 'doc_upload', fields: [['name', name], ...(version === undefined ? [] : [['version', version] as const])] }
}

/** `source` or the Python it is for, and the kind of the file. */
export function kindOf(filename: string): { readonly pyversion: string; readonly filetype: string } {
  const lower = filename.toLowerCase()
  if (lower.endsWith('.whl')) return { pyversion: pythonOfTag(filename.slice(0, -4).split('-').at(-3) ?? ''), filetype: 'bdist_wheel' }
  if (lower.endsWith('.egg')) return { pyversion: /-py(\d(?:\.\d+)?)/.exec(lower)?.[1] ?? 'any', filetype: 'bdist_egg' }
  if (lower.endsWith('.exe')) return { pyversion: /-py(\d(?:\.\d+)?)/.exec(lower)?.[1] ?? 'any', filetype: 'bdist_wininst' }
  if (lower.endsWith('.msi')) return { pyversion: /-py(\d(?:\.\d+)?)/.exec(lower)?.[1] ?? 'any', filetype: 'bdist_msi' }
  if (/\.(linux-\w+|macosx-[\w.-]+|win32|win-\w+)\.(tar\.gz|zip|tar)$/.test(lower)) return { pyversion: 'any', filetype: 'bdist_dumb' }
  return { pyversion: 'source', filetype: 'sdist' }
}

/** `cp311` is 3.11, `py3` is 3; a universal wheel counts as 2.7. */
function pythonOfTag(tag: string): string {
  if (tag === 'py2.py3') return '2.7'
  const [, major, minor] = /^[a-z]+(\d)(\d*)/i.exec(tag) ?? []
  return major === undefined ? 'any' : minor === undefined || minor === '' ? major : `${major}.${minor}`
}

const UPLOADED = 'only wheels, sdists (.tar.gz, .zip), eggs and documentation (.doc.zip) are uploaded'

/** What goes wrong in archives, as libraries put it, in words that say what to look for. */
function reasonOf(error: unknown): string {
  const reason = error instanceof Error ? error.message : 'unknown fault'
  if (/^(?:Bad archive|Archive read error)/.test(reason)) return 'it is no zip archive, or not a whole one'
  return codeOf(error) === 'Z_BUF_ERROR' ? 'it ends too early' : reason
}

async function metadataText(path: string, filename: string, interrupted: AbortSignal): Promise<string> {
  try {
    if (/\.(whl|zip|egg)$/i.test(filename)) return await textInZip(path, filename.toLowerCase().endsWith('.whl') ? 'METADATA' : 'PKG-INFO')
    if (/\.(tar\.gz|tgz|tar)$/i.test(filename)) return await textInTar(path, interrupted)
  } catch (error) {
    if (error instanceof Failure || interrupted.aborted) throw error
    throw new Failure('UPLOAD_FAILED', `${filename}: cannot be read: ${reasonOf(error)}`, { cause: error })
  }
  throw new Failure('UPLOAD_FAILED', `${filename}: ${OLD_TAR.test(filename) ? 'sdists are uploaded as .tar.gz or .zip, pack it anew' : UPLOADED}`)
}

/** The member of that name that lies highest. */
async function textInZip(path: string, member: string): Promise<string> {
  const { default: StreamZip } = await import('node-stream-zip')
  const zip = new StreamZip.async({ file: path })
  try {
    const entries = Object.values(await zip.entries()).filter(({ name }) => name.split('/').at(-1) === member)
    const [highest] = entries.sort((a, b) => depth(a.name) - depth(b.name))
    if (highest === undefined) throw new Failure('UPLOAD_FAILED', `${basename(path)}: does not contain PKGINFO, skipping`)
    if (highest.size > MOST_METADATA_BYTES) throw new Error('its metadata is too long')
    return (await zip.entryData(highest.name)).toString('utf8')
  } finally {
    await zip.close()
  }
}

async function textInTar(path: string, interrupted: AbortSignal): Promise<string> {
  const { extract } = await import('tar-stream')
  let found: { readonly name: string; readonly text: string } | undefined
  const reader = extract()
  const read = async (): Promise<void> => {
    for await (const entry of reader) {
      const { name, size } = entry.header
      const isBetter = name.split('/').at(-1) === 'PKG-INFO' && (found === undefined || depth(name) < depth(found.name))
      if (isBetter && size <= MOST_METADATA_BYTES) found = { name, text: await textOf(entry) }
      else entry.resume()
    }
  }
  const unzip = (await isGzip(path)) ? [createGunzip()] : []
  await Promise.all([read(), pipeline([createReadStream(path), ...unzip, reader], { signal: interrupted })])
  if (found === undefined) throw new Failure('UPLOAD_FAILED', `${basename(path)}: does not contain PKGINFO, skipping`)
  return found.text
}

async function textOf(stream: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) if (Buffer.isBuffer(chunk)) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

async function isGzip(path: string): Promise<boolean> {
  const file = await open(path)
  try {
    const { buffer } = await file.read(Buffer.alloc(2), 0, 2, 0)
    return buffer[0] === 0x1f && buffer[1] === 0x8b
  } finally {
    await file.close()
  }
}

function depth(name: string): number {
  return name.split('/').length
}

/** Headers of `METADATA` or `PKG-INFO` in their order, lower-case; the body is the description unless a header is. */
export function parseHeaders(text: string): [header: string, value: string][] {
  const lines = text.replaceAll('\r\n', '\n').split('\n')
  const headers: [string, string][] = []
  let at = 0
  for (; at < lines.length; at++) {
    const line = lines[at] ?? ''
    const header = /^([A-Za-z][\w-]*):[ \t]?(.*)$/.exec(line)
    const last = headers.at(-1)
    if (header !== null) headers.push([(header[1] ?? '').toLowerCase(), header[2] ?? ''])
    else if (/^[ \t]/.test(line) && last !== undefined) last[1] += `\n${line.replace(/^ {8}|^[ \t]+\|?/, '')}`
    else break
  }
  const body = lines.slice(at + 1).join('\n')
  if (body.trim() !== '' && !headers.some(([header]) => header === 'description')) headers.push(['description', body])
  return headers
}
