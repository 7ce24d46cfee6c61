import { Refusal } from '#log-format/api/refusal.js'
import { canonicalVersion, isPep440, versionIdentity } from '#log-format/version.js'
import { normalizeProjectName, projectNameFault } from './project-name.js'

/** What kind of distribution a file is: the upload field `filetype`. */
export type PackageType =
  | 'sdist'
  | 'bdist_wheel'
  | 'bdist_egg'
  | 'bdist_wininst'
  | 'bdist_msi'
  | 'bdist_dmg'
  | 'bdist_rpm'
  | 'bdist_dumb'

/** PEP 425; each may be a set of tags joined by dots. */
export interface WheelTags {
  readonly python: string
  readonly abi: string
  readonly platform: string
}

export interface ParsedFilename {
  /** As the file name spells it. */
  readonly project: string
  /** As the file name spells it; empty when it states none. */
  readonly version: string
  readonly kind: PackageType
  /** The upload field `pyversion`: `source` for an sdist, the Python it was built for, or `any`. */
  readonly pythonVersion: string
  /** Absent unless the name is that of a wheel by PEP 427. */
  readonly tags?: WheelTags
  /** A wheel's build tag. */
  readonly build?: string
}

interface Archive {
  readonly suffix: string
  readonly kind: PackageType
  readonly contentType: string
  /** Stands among the files of an upstream, or is documentation: known, but no release file to upload. */
  readonly readOnly?: true
}

const FILENAME_LIMIT = 255

const UNKNOWN_CONTENT = 'application/octet-stream'

/** The one list of archives; a suffix stands before those it ends with. */
const ARCHIVES: readonly Archive[] = [
  { suffix: '.whl', kind: 'bdist_wheel', contentType: UNKNOWN_CONTENT },
  { suffix: '.tar.gz', kind: 'sdist', contentType: 'application/gzip' },
  { suffix: '.tgz', kind: 'sdist', contentType: 'application/gzip' },
  { suffix: '.tar.bz2', kind: 'sdist', contentType: 'application/x-bzip2' },
  { suffix: '.bz2', kind: 'bdist_dumb', contentType: 'application/x-bzip2' },
  { suffix: '.tar', kind: 'sdist', contentType: 'application/x-tar', readOnly: true },
  { suffix: '.doc.zip', kind: 'bdist_dumb', contentType: 'application/zip', readOnly: true },
  { suffix: '.zip', kind: 'sdist', contentType: 'application/zip' },
  { suffix: '.egg', kind: 'bdist_egg', contentType: UNKNOWN_CONTENT },
  { suffix: '.exe', kind: 'bdist_wininst', contentType: 'application/x-msdos-program' },
  { suffix: '.msi', kind: 'bdist_msi', contentType: 'application/x-msi' },
  { suffix: '.dmg', kind: 'bdist_dmg', contentType: 'application/x-apple-diskimage' },
  { suffix: '.rpm', kind: 'bdist_rpm', contentType: 'application/x-rpm' },
  { suffix: '.deb', kind: 'bdist_dumb', contentType: 'application/vnd.debian.binary-package' },
]

/**
 * Takes a distribution's file name apart: a wheel by PEP 427, an sdist by
 * PEP 625, older kinds as distutils and setuptools named them. Where the name
 * holds several dashes the first one that leaves a version ends the project,
 * unless `expectedProject`, in any spelling, tells which one does.
 * `undefined` when the extension is unknown or the name too long.
 */
export function parseFilename(filename: string, expectedProject?: string): ParsedFilename | undefined {
  if (filename.length > FILENAME_LIMIT) return undefined
  const archive = findArchive(filename)
  if (archive === undefined) return undefined

  const stem = filename.slice(0, -archive.suffix.length)
  return (archive.kind === 'bdist_wheel' ? parseWheel(stem) : undefined) ?? parseStem(stem, archive, expectedProject)
}

/**
 * Takes the name of an uploaded file apart and refuses `invalid` unless it is
 * one of an archive, is safe in a path, a header and a page, and names this
 * very project and version, both in any spelling.
 */
export function checkUploadFilename(
  filename: string,
  release: { readonly project: string; readonly version: string },
): ParsedFilename {
  if (filename.length > FILENAME_LIMIT) {
    throw new Refusal('invalid', `the filename is longer than ${FILENAME_LIMIT} characters`)
  }
  if (UNSAFE.test(filename)) {
    throw new Refusal('invalid', 'the filename contains a control character, a slash, a quote, or one of < > % # ?')
  }
  const parsed = parseFilename(filename, release.project)
  if (parsed === undefined || findArchive(filename)?.readOnly) {
    throw new Refusal('invalid', `'${filename}' is not a valid archive name`)
  }
  if (parsed.kind === 'bdist_wheel' && parsed.tags === undefined) {
    const form = 'a wheel is named project-version-python-abi-platform.whl'
    throw new Refusal('invalid', `'${filename}' is not a valid archive name: ${form}`)
  }
  if (!namesVersion(parsed.version, release.version)) {
    throw new Refusal('invalid', `filename '${filename}' does not contain version '${release.version}'`)
  }
  const project = normalizeProjectName(release.project)
  if (projectNameFault(parsed.project) !== undefined || normalizeProjectName(parsed.project) !== project) {
    throw new Refusal('invalid', `filename '${filename}' does not match project name '${project}'`)
  }
  return parsed
}

/**
 * The media type a stored file is served under, never one a browser would run.
 * A compressed tar is the compressed file: with a `Content-Encoding` beside it
 * an installer would unpack it and find the wrong hash.
 */
export function contentTypeOf(filename: string): string {
  if (/\.toxresult-[\d-]+$/.test(filename)) return 'application/json'
  if (filename.endsWith('.metadata')) return 'text/plain; charset=utf-8'
  return findArchive(filename)?.contentType ?? UNKNOWN_CONTENT
}

/** What would end a path segment, an attribute or a header early, or reorder the text around it; lone surrogates too. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}/\\'"`<>%#?]/u

function findArchive(filename: string): Archive | undefined {
  const lower = filename.toLowerCase()
  return ARCHIVES.find(({ suffix }) => lower.length > suffix.length && lower.endsWith(suffix))
}

/** Project, version, perhaps a build tag, which starts with a digit, and the three tags. */
const WHEEL = /^([\w.]+)-([\w.!+]+)(?:-(\d[\w.]*))?-([\w.]+)-([\w.]+)-([\w.]+)$/

function parseWheel(stem: string): ParsedFilename | undefined {
  const [, project, version, build, python, abi, platform] = WHEEL.exec(stem) ?? []
  if (!project || !version || !python || !abi || !platform) return undefined
  return {
    project,
    version,
    kind: 'bdist_wheel',
    pythonVersion: pythonOfTag(python),
    tags: { python, abi, platform },
    ...(build !== undefined && { build }),
  }
}

/** `cp311` is 3.11 and `py3` is 3; a universal wheel counts as 2.7, as bdist_wheel had it. */
function pythonOfTag(tag: string): string {
  if (tag === 'py2.py3') return '2.7'
  const [, major, minor] = /^[a-z]+(\d)(\d*)/i.exec(tag) ?? []
  return major === undefined ? 'any' : minor ? `${major}.${minor}` : major
}

/** `.win32-py2.7`: the platform a bdist_dumb, bdist_wininst or bdist_msi was built for, perhaps the Python too. */
const PLATFORM = /(?<=.)\.(?:linux-\w+|macosx-\d[\d.]*-\w+|win32|win-\w+)(?:-py(\d(?:\.\d+)?))?$/i
/** `-py3.8-linux-x86_64`: the Python an egg was built for, perhaps the platform too. */
const EGG_PYTHON = /(?<=.)-py(\d(?:\.\d+)?)(?:-(?:linux|macosx|win)[\w.-]*)?$/i
/** `-1.noarch`: release of the package and its architecture. */
const RPM_RELEASE = /(?<=.)-[\w.~]+\.(?:src|noarch|i\d86|x86_64|aarch64|armv\w+|ppc\w+|s390x?)$/i
/** What follows the version in kinds that have their own form for it; it may capture the Python. */
const TARGETS: { readonly [Kind in PackageType]?: RegExp } = { bdist_egg: EGG_PYTHON, bdist_rpm: RPM_RELEASE }
/** `name_version-revision_architecture`; a Debian name holds no underscore. */
const DEBIAN = /^([^_]+)_(\d[^_]*?)(?:-[^-_]+)?_[^_]+$/

function parseStem(stem: string, { kind, suffix }: Archive, expectedProject: string | undefined): ParsedFilename {
  const [, project, version] = (suffix === '.deb' && DEBIAN.exec(stem)) || []
  if (project !== undefined && version !== undefined) return { project, version, kind, pythonVersion: 'any' }

  const target = (TARGETS[kind] ?? PLATFORM).exec(stem)
  const release = splitRelease(target === null ? stem : stem.slice(0, target.index), expectedProject)
  if (kind !== 'sdist') return { ...release, kind, pythonVersion: target?.[1] ?? 'any' }
  if (target !== null) return { ...release, kind: 'bdist_dumb', pythonVersion: target[1] ?? 'any' }
  return { ...release, kind, pythonVersion: 'source' }
}

interface NamedRelease {
  readonly project: string
  readonly version: string
}

function splitRelease(release: string, expectedProject: string | undefined): NamedRelease {
  const splits: NamedRelease[] = []
  for (let at = release.indexOf('-', 1); at !== -1; at = release.indexOf('-', at + 1)) {
    if (at + 1 < release.length) splits.push({ project: release.slice(0, at), version: release.slice(at + 1) })
  }
  const expected = expectedProject === undefined ? undefined : normalizeProjectName(expectedProject)
  return (
    splits.find(({ project }) => normalizeProjectName(project) === expected) ??
    splits.find(({ version }) => isPep440(version)) ??
    splits.find(({ version }) => isPatchedVersion(version)) ??
    splits.at(-1) ?? { project: release, version: '' }
  )
}

/** A version with a word behind a last dash, `1.0-local`, as there were before PEP 440. */
function isPatchedVersion(version: string): boolean {
  const dash = version.lastIndexOf('-')
  return dash !== -1 && isPep440(version.slice(0, dash))
}

/**
 * Whether a version in a file name is the release's. One that is legacy there
 * may be escaped: PEP 427 turned `1.0+abc` into `1.0_abc`.
 */
function namesVersion(inFilename: string, version: string): boolean {
  if (versionIdentity(inFilename) === versionIdentity(version)) return true
  if (isPep440(inFilename)) return false
  const escaped = escapeVersion(inFilename)
  return escaped === escapeVersion(version) || escaped === escapeVersion(canonicalVersion(version))
}

function escapeVersion(version: string): string {
  return version.replace(/[^A-Za-z0-9.]+/g, '_').toLowerCase()
}
