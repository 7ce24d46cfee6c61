import { Refusal } from '#log-format/api/refusal.js'
import type { MetadataValue } from '#log-format/values.js'

/** Of `METADATA` or `PKG-INFO`, uncompressed. */
export const MAX_CORE_METADATA_BYTES = 5 * 1024 * 1024
const MAX_HEADERS = 20_000

/** A `METADATA` or `PKG-INFO` file ("Core metadata specifications"), read but not judged. */
export interface CoreMetadata {
  readonly name: string
  readonly version: string
  /** Values by lower-case header name, in the order of the file, continuation lines joined by `\n`. */
  readonly headers: ReadonlyMap<string, readonly string[]>
  /** The body (metadata 2.1 and later) or else the `Description` header; may be empty. */
  readonly description: string
}

/** Metadata of a version: the whole record, or the part of it that a form or an archive states. */
export type Metadata = MetadataValue

/** Fields with one value, `spec/server-http.md` 8.3 and 11.3, by the header that states them in an archive. */
const SCALAR_HEADERS = {
  name: 'name',
  version: 'version',
  metadata_version: 'metadata-version',
  summary: 'summary',
  home_page: 'home-page',
  author: 'author',
  author_email: 'author-email',
  maintainer: 'maintainer',
  maintainer_email: 'maintainer-email',
  license: 'license',
  description: 'description',
  keywords: 'keywords',
  download_url: 'download-url',
  comment: 'comment',
  requires_python: 'requires-python',
  description_content_type: 'description-content-type',
  license_expression: 'license-expression',
} as const

/** Fields with any number of values, likewise. */
const LIST_HEADERS = {
  platform: 'platform',
  classifiers: 'classifier',
  supported_platform: 'supported-platform',
  provides: 'provides',
  requires: 'requires',
  obsoletes: 'obsoletes',
  project_urls: 'project-url',
  provides_dist: 'provides-dist',
  obsoletes_dist: 'obsoletes-dist',
  requires_dist: 'requires-dist',
  requires_external: 'requires-external',
  provides_extras: 'provides-extra',
  dynamic: 'dynamic',
  license_file: 'license-file',
} as const

export const SCALAR_FIELDS: readonly string[] = Object.keys(SCALAR_HEADERS)
export const LIST_FIELDS: readonly string[] = Object.keys(LIST_HEADERS)

/** Field names of newer upload tools (twine 6 and others) for what the record calls otherwise. */
const FIELD_ALIASES: Readonly<Record<string, string>> = { provides_extra: 'provides_extras', license_files: 'license_file' }

/**
 * Reads the RFC 822-like text of `METADATA` or `PKG-INFO`. Refuses `invalid`
 * a text that is too long, or that does not state exactly one name and one version.
 */
export function parseCoreMetadata(text: string): CoreMetadata {
  if (text.length > MAX_CORE_METADATA_BYTES) throw invalid(`the core metadata is longer than ${MAX_CORE_METADATA_BYTES} bytes`)
  const { headers, body } = splitHeaders(text.replaceAll('\r\n', '\n'))
  return {
    name: requireOne(headers, 'Name'),
    version: requireOne(headers, 'Version'),
    headers,
    description: body.trim() === '' ? (headers.get('description')?.at(-1) ?? '') : body,
  }
}

/** The record of a version that states nothing: every scalar `""`, every list `[]`. */
export function emptyMetadata(): Metadata {
  return Object.fromEntries<string | readonly string[]>([...SCALAR_FIELDS.map((field) => [field, ''] as const), ...LIST_FIELDS.map((field) => [field, [] as const] as const)])
}

/**
 * The part of the record that an upload form states, `spec/server-http.md`
 * 8.3: of a repeated scalar the last one counts, and `UNKNOWN` is `""`; a list
 * has every occurrence that is not empty. Other fields are ignored. A field
 * that is in the form is in the result, even if empty: a client may clear it.
 */
export function metadataFromForm(fields: readonly (readonly [name: string, value: string])[]): Metadata {
  const stated = new Map<string, string | string[]>()
  const direct = new Set(fields.map(([name]) => name))
  for (const [sent, value] of fields) {
    const alias = Object.hasOwn(FIELD_ALIASES, sent) ? FIELD_ALIASES[sent] : undefined
    if (alias !== undefined && direct.has(alias)) continue // the same list sent twice
    const field = alias ?? sent
    if (Object.hasOwn(SCALAR_HEADERS, field)) stated.set(field, scalar(value))
    else if (Object.hasOwn(LIST_HEADERS, field)) appendTo(stated, field, value)
  }
  return Object.fromEntries(stated)
}

/** The part of the record that an archive states; a header that is empty or `UNKNOWN` states nothing. */
export function metadataFromCore(core: CoreMetadata): Metadata {
  const stated: [string, string | readonly string[]][] = []
  for (const [field, header] of Object.entries(SCALAR_HEADERS)) {
    const value = scalar(header === 'description' ? core.description : (core.headers.get(header)?.at(-1) ?? ''))
    if (value !== '') stated.push([field, value])
  }
  for (const [field, header] of Object.entries(LIST_HEADERS)) {
    const values = core.headers.get(header)?.filter((value) => value !== '') ?? []
    if (values.length > 0) stated.push([field, values])
  }
  return Object.fromEntries(stated)
}

/**
 * What form and archive state together. The form wins where it says
 * something, since its sender could see it; the archive fills what the form
 * leaves out or leaves empty. Fields that neither states stay absent.
 */
export function mergeMetadata(form: Metadata, archive: Metadata): Metadata {
  const said = Object.entries(form).filter(([field, value]) => value.length > 0 || !Object.hasOwn(archive, field))
  return { ...archive, ...Object.fromEntries(said) }
}

/**
 * The checks of `spec/server-http.md` 4.3, in their order; refuses `invalid`.
 * Beyond it a version may not hold `/`, `\` or control characters: it is a
 * segment of URLs and keys.
 */
export function checkMetadata(fields: Metadata): void {
  const name = textOf(fields['name'])
  const version = textOf(fields['version'])
  if (name === '') throw invalid('invalid metadata: Missing required field "name"')
  if (version === '') throw invalid('invalid metadata: Missing required field "version"')
  const rule = NAME_RULES.find(([pattern]) => !pattern.test(name))
  if (rule !== undefined) throw invalid(`invalid metadata: Invalid package name. Names must ${rule[1]}`)
  if (NOT_URL_SAFE.test(name + version)) throw invalid('invalid metadata: Invalid package name or version (URL safety)')
}

const NAME_RULES: readonly (readonly [pattern: RegExp, must: string])[] = [
  [/^[A-Za-z0-9._-]+$/, 'contain only ASCII letters, digits, underscores, hyphens, and periods'],
  [/^[A-Za-z0-9]/, 'start with an ASCII letter or digit'],
  [/[A-Za-z0-9]$/, 'end with an ASCII letter or digit'],
]
 
const NOT_URL_SAFE = /[<>%#"/\\\u0000-\u001f\u007f]/

/** The rules by which two spellings of a project or version are the same one. */
export interface IdentityRules {
  normalizeName(name: string): string
  canonicalVersion(version: string): string
}

/** Refuses `invalid` when an archive is of another project or version than its upload claims. */
export function agreeOnIdentity(
  core: Pick<CoreMetadata, 'name' | 'version'>,
  claimed: { readonly project: string; readonly version: string },
  rules: IdentityRules,
): void {
  if (rules.normalizeName(core.name) !== rules.normalizeName(claimed.project)) {
    throw invalid(`the archive is of project '${core.name.slice(0, 100)}', but was uploaded as '${claimed.project}'`)
  }
  if (rules.canonicalVersion(core.version) !== rules.canonicalVersion(claimed.version)) {
    throw invalid(`the archive is of version '${core.version.slice(0, 100)}', but was uploaded as '${claimed.version}'`)
  }
}

/** A line that is neither a header nor a continuation begins the body, as in Python's own parser. */
function splitHeaders(text: string): { headers: ReadonlyMap<string, readonly string[]>; body: string } {
  const folded: { name: string; lines: string[] }[] = []
  let start = 0
  let bodyStart = text.length
  while (start < text.length) {
    const newline = text.indexOf('\n', start)
    const end = newline === -1 ? text.length : newline
    const line = text.slice(start, end)
    const header = HEADER.exec(line)
    if (header !== null) {
      if (folded.length === MAX_HEADERS) throw invalid(`the core metadata has more than ${MAX_HEADERS} fields`)
      folded.push({ name: (header[1] ?? '').toLowerCase(), lines: [line.slice(header[0].length)] })
    } else if (folded.length > 0 && /^[ \t]/.test(line)) {
      folded.at(-1)?.lines.push(line)
    } else {
      bodyStart = line === '' ? end + 1 : start
      break
    }
    start = end + 1
  }
  const headers = new Map<string, string[]>()
  for (const { name, lines } of folded) {
    const values = headers.get(name)
    if (values === undefined) headers.set(name, [unfold(lines)])
    else values.push(unfold(lines))
  }
  return { headers, body: text.slice(bodyStart) }
}

const HEADER = /^([!-9;-~]+):[ \t]*/

/** Continuation lines were indented by eight blanks, or by seven and a bar ("Description" of the specification). */
function unfold(lines: readonly string[]): string {
  return lines.map((line, at) => (at === 0 ? line : line.replace(/^(?: {7}\|| {8}|[ \t]+)/, ''))).join('\n').trimEnd()
}

function requireOne(headers: ReadonlyMap<string, readonly string[]>, header: string): string {
  const values = headers.get(header.toLowerCase()) ?? []
  const [value] = values
  if (value === undefined || value === '') throw invalid(`the core metadata has no ${header}`)
  if (values.length > 1) throw invalid(`the core metadata has more than one ${header}`)
  return value
}

function scalar(value: string): string {
  return value === 'UNKNOWN' ? '' : value
}

function appendTo(stated: Map<string, string | string[]>, field: string, value: string): void {
  const before = stated.get(field)
  const values = Array.isArray(before) ? before : []
  if (value !== '') values.push(value)
  stated.set(field, values)
}

function textOf(value: string | readonly string[] | undefined): string {
  return typeof value === 'string' ? value : ''
}

function invalid(message: string): Refusal {
  return new Refusal('invalid', message, { form: 'reason' })
}
