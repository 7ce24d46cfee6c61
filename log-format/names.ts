import { Refusal } from './api/refusal.js'

/**
 * The names that may stand inside a key and in a URL (`spec/server-http.md`
 * 4.1). Only what is created is checked here; a name that is looked up need
 * only be a key segment, and is then found or not.
 */

/** The user name that goes with an API token where a tool wants one, as on the public index; nobody can be called so. */
export const TOKEN_USER = '__token__'

/** A user or index name and a file name must fit a file system's name, in bytes of UTF-8. */
const MAX_NAME_BYTES = 255
const MAX_VERSION_LENGTH = 255

/** ASCII that is blocked in user and index names: controls, space, and every symbol but `-.@_`. */
const BLOCKED_ASCII = /[\x00-\x20!"#$%&'()*+,/:;<=>?[\\\]^`{|}~\x7f]/

/**
 * Unicode categories that proxies strip or readers cannot see: controls,
 * format characters, separators and lone surrogates.
 */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Z}]/u

/** As `INVISIBLE`, but an ordinary space between visible characters is fine. */
const INVISIBLE_BUT_SPACE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u

/** A user's name. Refuses `invalid`. Names are case-sensitive, and compared as they are. */
export function checkUserName(name: string): void {
  checkName('username', name)
  if (name === TOKEN_USER) throw new Refusal('invalid', `username '${TOKEN_USER}' stands for whoever shows an API token`)
}

/** The second half of `user/index`. Refuses `invalid`. */
export function checkIndexName(name: string): void {
  checkName('indexname', name)
}

/** Words that begin and end with a colon in a list of who may do something; a group of that name would look like one. */
const MAGIC_WORDS: ReadonlySet<string> = new Set(['anonymous', 'authenticated'])

/** What `:group` in a list of who may do something stands for. Refuses `invalid`. */
export function checkGroupName(name: string): void {
  checkName('groupname', name)
  if (MAGIC_WORDS.has(name.toLowerCase())) throw new Refusal('invalid', `groupname '${name}' is too much like ':${name.toUpperCase()}:'`)
}

/**
 * A version as one segment of a key and of a URL. That it is a version of
 * PEP 440 is not asked here. Refuses `invalid`.
 */
export function checkVersionText(version: string): void {
  const problem = versionProblem(version)
  if (problem !== undefined) throw new Refusal('invalid', `version ${quoted(version)} ${problem}`)
}

/**
 * The last part of a public file path. Refuses `invalid`. Quotes and
 * backslashes are refused because the name is shown on pages and saved by
 * clients of every system.
 */
export function checkFileBasename(basename: string): void {
  const problem = basenameProblem(basename)
  if (problem !== undefined) throw new Refusal('invalid', `file name ${quoted(basename)} ${problem}`)
}

/** Whether `text` can be one segment of a keyfs key at all. What cannot be a segment names nothing stored. */
export function isKeySegment(text: string): boolean {
  return text !== '' && !text.includes('/') && !text.includes('\0') && text.isWellFormed()
}

function checkName(noun: 'username' | 'indexname' | 'groupname', name: string): void {
  if (name === '') throw new Refusal('invalid', `${noun} must not be empty`)
  if (BLOCKED_ASCII.test(name) || INVISIBLE.test(name)) {
    const advice = 'Any ascii symbol besides -.@_ is blocked.'
    throw new Refusal('invalid', `${noun} ${quoted(name)} contains characters that aren't allowed. ${advice}`)
  }
  if (name === '__proto__') throw new Refusal('invalid', `${noun} '__proto__' isn't allowed, as no JSON object has such a member`)
  if (name === '.' || name === '..') {
    throw new Refusal('invalid', `${noun} ${quoted(name)} isn't allowed, as URLs give it a meaning of its own`)
  }
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw new Refusal('invalid', `${noun} is longer than ${MAX_NAME_BYTES} bytes`)
  }
}

function versionProblem(version: string): string | undefined {
  if (version === '') return 'is empty'
  if (version.length > MAX_VERSION_LENGTH) return `is longer than ${MAX_VERSION_LENGTH} characters`
  if (INVISIBLE_BUT_SPACE.test(version)) return 'contains invisible characters'
  if (version.trim() !== version) return 'begins or ends with white space'
  if (version.includes('/')) return "contains a '/'"
  if (version.startsWith('+')) return "begins with '+', which is reserved"
  if (version === '.' || version === '..') return 'has a meaning of its own in URLs'
  if (version === '__proto__') return 'can be no member of a JSON object'
  return undefined
}

function basenameProblem(basename: string): string | undefined {
  if (basename === '') return 'is empty'
  if (Buffer.byteLength(basename) > MAX_NAME_BYTES) return `is longer than ${MAX_NAME_BYTES} bytes`
  if (INVISIBLE_BUT_SPACE.test(basename)) return 'contains invisible characters'
  if (basename.trim() !== basename) return 'begins or ends with white space'
  if (/[/\\]/.test(basename)) return 'contains a slash or backslash'
  if (/["'`]/.test(basename)) return 'contains a quote'
  if (basename === '.' || basename === '..') return 'is no file name'
  return undefined
}

/** Cut to a length that fits a reply header, and free of what would break its line. */
function quoted(text: string): string {
  const start = text.length > 80 ? `${text.slice(0, 80)}…` : text
  return `'${start.toWellFormed().replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '\ufffd')}'`
}
