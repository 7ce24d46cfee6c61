import { Refusal } from '#log-format/api/refusal.js'
import type { Hashes, ProjectList, ProjectPage, ProjectStatus, SimpleFile } from './simple-page.js'

/** Above every page known in the wild, below what would hurt: lengths in UTF-16 units. */
export const PAGE_LIMITS = {
  text: 96 << 20,
  files: 200_000,
  versions: 100_000,
  projects: 2_000_000,
  filename: 1_000,
  url: 16_000,
  string: 64_000,
  hashes: 32,
} as const

/**
 * Reads the JSON form of a project page, any 1.x version of it. Fields it does not know, and `null` where
 * a field may be absent, count as absent; a known field of a wrong shape refuses the page with `upstream-failed`,
 * because a page read halfway would hide files.
 * URLs stay as written, without fragment; times lose what is finer than a millisecond.
 */
export function parseSimpleJson(text: string): ProjectPage {
  const page = parsePage(text)
  const files = requireArray(page['files'], 'files', PAGE_LIMITS.files)
  const status = parseStatus(page['project-status'])
  return {
    name: parseName(page['name'], 'name') ?? refuseName(),
    files: files.map((file, at) => parseFile(file, `files[${at}]`)),
    versions: parseVersions(page['versions']),
    ...(status === undefined ? {} : { projectStatus: status }),
    ...parseLastSerial(page['meta']),
  }
}

/**
 * Reads the JSON form of a project list, with names in normal form; refuses as `parseSimpleJson` does.
 * Names that PEP 508 does not allow are left out: nobody could ask for them.
 */
export function parseListJson(text: string): ProjectList {
  const page = parsePage(text)
  const projects = requireArray(page['projects'], 'projects', PAGE_LIMITS.projects)
  return {
    projects: projects.flatMap((project, at) => {
      const name = parseListItem(project, `projects[${at}]`)
      return name === undefined ? [] : [{ name }]
    }),
    ...parseLastSerial(page['meta']),
  }
}

/** The name of one project of a list, in normal form; undefined for one that PEP 508 does not allow. */
export function parseListItem(project: unknown, at: string): string | undefined {
  return parseName(requireObject(project, at)['name'], `${at}.name`)
}

type Fields = Readonly<Record<string, unknown>>

function parsePage(text: string): Fields {
  if (text.length > PAGE_LIMITS.text) throw unusable(`is longer than ${PAGE_LIMITS.text} characters`)
  const page = requireObject(parseJson(text), 'page')
  const version = requireText(requireObject(page['meta'], 'meta')['api-version'], 'meta.api-version', 20)
  // PEP 629: another major number means a page we would misread, another minor number does not.
  if (!/^1\.[0-9]+$/.test(version)) throw unusable(`has version ${JSON.stringify(version)} of the simple API, not 1.x`)
  return page
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw unusable('is not JSON', { cause })
  }
}

function parseFile(value: unknown, at: string): SimpleFile {
  const fields = requireObject(value, at)
  const requiresPython = optionalText(fields['requires-python'], `${at}.requires-python`)
  const size = optionalCount(fields['size'], `${at}.size`)
  const uploadTime = parseUploadTime(fields['upload-time'], `${at}.upload-time`)
  const yanked = parseYanked(fields['yanked'], `${at}.yanked`)
  // PEP 714: who finds the newer name does not look at the older one.
  const metadata = parseCoreMetadata(fields['core-metadata'] ?? fields['dist-info-metadata'] ?? fields['data-dist-info-metadata'], `${at}.core-metadata`)
  const provenance = fields['provenance'] ?? undefined
  return {
    filename: parseFilename(fields['filename'], `${at}.filename`),
    url: parseUrl(fields['url'], `${at}.url`),
    hashes: parseHashes(fields['hashes'], `${at}.hashes`),
    ...(requiresPython ? { requiresPython } : {}),
    ...(size === undefined ? {} : { size }),
    ...(uploadTime === undefined ? {} : { uploadTime }),
    ...(yanked === undefined ? {} : { yanked }),
    ...(metadata === undefined ? {} : { coreMetadata: metadata }),
    ...(provenance === undefined ? {} : { provenance: parseUrl(provenance, `${at}.provenance`) }),
  }
}

/** A name for one file in a folder and one segment of a URL. */
function parseFilename(value: unknown, at: string): string {
  const filename = requireText(value, at, PAGE_LIMITS.filename)
  if (/^\.{0,2}$|[/\\\p{Cc}\p{Cs}]/u.test(filename)) throw unusable(`has no file name at ${at}`)
  return filename
}

/** Relative or of the web; a link to anything else (`javascript:`, `file:`) would be passed on to browsers. */
function parseUrl(value: unknown, at: string): string {
  const [url = ''] = requireText(value, at, PAGE_LIMITS.url).split('#', 1)
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase()
  if (url === '' || /[\s\\\p{Cc}\p{Cs}]/u.test(url)) throw unusable(`has no URL at ${at}`)
  if (scheme !== undefined && scheme !== 'https' && scheme !== 'http') throw unusable(`has a ${scheme}: URL at ${at}`)
  return url
}

function parseHashes(value: unknown, at: string): Hashes {
  const stated = Object.entries(requireObject(value, at))
  if (stated.length > PAGE_LIMITS.hashes) throw unusable(`has too many hashes at ${at}`)
  const hashes: Record<string, string> = {}
  for (const [algorithm, digest] of stated) {
    if (!/^[a-z0-9][a-z0-9_-]{0,40}$/i.test(algorithm)) throw unusable(`has an odd algorithm at ${at}`)
    if (typeof digest !== 'string' || !/^[0-9a-f]{1,256}$/i.test(digest)) {
      throw unusable(`has no hexadecimal digest at ${at}`)
    }
    hashes[algorithm.toLowerCase()] = digest.toLowerCase()
  }
  return hashes
}

/** PEP 691: a boolean or a reason; `false` and the empty reason say that the file is not yanked. */
function parseYanked(value: unknown, at: string): true | string | undefined {
  if (typeof value === 'boolean') return value || undefined
  return optionalText(value, at) || undefined
}

function parseCoreMetadata(value: unknown, at: string): true | Hashes | undefined {
  if (value === undefined || value === null || value === false) return undefined
  if (value === true) return true
  const hashes = parseHashes(value, at)
  return Object.keys(hashes).length === 0 ? true : hashes
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?$/

/** PEP 700 wants UTC with a `Z`; an offset is understood, and none is taken for UTC. */
function parseUploadTime(value: unknown, at: string): number | undefined {
  const text = optionalText(value, at)
  if (text === undefined) return undefined
  const match = TIME.exec(text)
  const ms = match === null ? Number.NaN : Date.parse(match[2] === undefined ? `${text}Z` : text)
  if (Number.isNaN(ms)) throw unusable(`has no time at ${at}`)
  return ms
}

const STATUSES = ['active', 'archived', 'quarantined', 'deprecated'] as const satisfies readonly ProjectStatus['status'][]

/** PEP 792; a status of a later version of the API is nothing we could act on, so it counts as absent. */
function parseStatus(value: unknown): ProjectStatus | undefined {
  if (value === undefined || value === null) return undefined
  const fields = requireObject(value, 'project-status')
  const stated = requireText(fields['status'], 'project-status.status', PAGE_LIMITS.string)
  const reason = optionalText(fields['reason'], 'project-status.reason')
  const status = STATUSES.find((known) => known === stated)
  if (status === undefined) return undefined
  return reason === undefined ? { status } : { status, reason }
}

/** Absent before version 1.1 of the API. */
function parseVersions(value: unknown): string[] {
  if (value === undefined || value === null) return []
  const versions = requireArray(value, 'versions', PAGE_LIMITS.versions)
  return versions.map((version, at) => requireText(version, `versions[${at}]`, PAGE_LIMITS.filename))
}

function parseLastSerial(meta: unknown): { lastSerial?: number } {
  const lastSerial = optionalCount(requireObject(meta, 'meta')['_last-serial'], 'meta._last-serial')
  return lastSerial === undefined ? {} : { lastSerial }
}

function requireObject(value: unknown, at: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw unusable(`has no object at ${at}`)
  return value as Fields
}

function requireArray(value: unknown, at: string, limit: number): readonly unknown[] {
  if (!Array.isArray(value)) throw unusable(`has no list at ${at}`)
  if (value.length > limit) throw unusable(`has more than ${limit} ${at}`)
  return value
}

function requireText(value: unknown, at: string, limit: number): string {
  if (typeof value !== 'string') throw unusable(`has no text at ${at}`)
  if (value.length > limit) throw unusable(`has more than ${limit} characters at ${at}`)
  return value
}

function optionalText(value: unknown, at: string): string | undefined {
  return value === undefined || value === null ? undefined : requireText(value, at, PAGE_LIMITS.string)
}

function optionalCount(value: unknown, at: string): number | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw unusable(`has no count at ${at}`)
  return value
}

/** Normal form of PEP 503; undefined for a name that PEP 508 does not allow. */
function parseName(value: unknown, at: string): string | undefined {
  const name = requireText(value, at, PAGE_LIMITS.filename)
  return /^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/i.test(name) ? name.replace(/[-_.]+/g, '-').toLowerCase() : undefined
}

function refuseName(): never {
  throw unusable('has no project name')
}

function unusable(what: string, options?: ErrorOptions): Refusal {
  return new Refusal('upstream-failed', `the simple page of the upstream ${what}`, options)
}
