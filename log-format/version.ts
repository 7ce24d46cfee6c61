/**
 * Versions by PEP 440: reading them in every tolerated spelling, printing
 * them in one, and ordering them. A text that is no PEP 440 version is still
 * a version here, a **legacy** one: kept as it is and ordered below all others.
 */

/** A version in parts. Numbers are decimal digits of any length, without leading zeros. */
export interface Version {
  readonly epoch: string
  readonly release: readonly string[]
  readonly pre: { readonly label: 'a' | 'b' | 'rc'; readonly number: string } | undefined
  readonly post: string | undefined
  readonly dev: string | undefined
  /** Lower-case, split at its separators; a segment is a number or contains a letter. */
  readonly local: readonly string[] | undefined
}

/** Beyond this many characters a text is legacy, and only so many of them decide its place. */
const LENGTH_LIMIT = 1000

/** PEP 440, appendix B. Neighbouring parts contest one separator at most, so a mismatch is found in linear time. */
const PEP_440 = new RegExp(
  [
    String.raw`^v?(?:(\d+)!)?`, // epoch
    String.raw`(\d+(?:\.\d+)*)`, // release
    String.raw`(?:[-_.]?(alpha|a|beta|b|preview|pre|rc|c)[-_.]?(\d*))?`,
    String.raw`(?:-(\d+)|[-_.]?(?:post|rev|r)[-_.]?(\d*))?`, // post, without and with a label
    String.raw`(?:[-_.]?dev[-_.]?(\d*))?`,
    String.raw`(?:\+([a-z\d]+(?:[-_.][a-z\d]+)*))?$`, // local
  ].join(''),
  'i', // without `u`: no letter outside ASCII folds into the pattern
)

const PRE_LABELS: Readonly<Record<string, 'a' | 'b' | 'rc'>> = {
  a: 'a',
  alpha: 'a',
  b: 'b',
  beta: 'b',
  c: 'rc',
  rc: 'rc',
  pre: 'rc',
  preview: 'rc',
}

/** The parts of a PEP 440 version; `undefined` for a legacy one. */
export function parseVersion(text: string): Version | undefined {
  const trimmed = text.trim()
  if (trimmed.length > LENGTH_LIMIT) return undefined
  const found = PEP_440.exec(trimmed)
  if (found === null) return undefined

  const [, epoch = '', release = '', preLabel = '', preNumber = '', barePost, labelledPost, dev, local] = found
  const label = PRE_LABELS[preLabel.toLowerCase()]
  return {
    epoch: plainNumber(epoch),
    release: release.split('.').map(plainNumber),
    pre: label && { label, number: plainNumber(preNumber) },
    post: optionalNumber(barePost ?? labelledPost),
    dev: optionalNumber(dev),
    local: local
      ?.toLowerCase()
      .split(/[-_.]/)
      .map((segment) => (isNumber(segment) ? plainNumber(segment) : segment)),
  }
}

export function isPep440(text: string): boolean {
  return parseVersion(text) !== undefined
}

/** Whether PEP 440 calls it a pre-release: alpha, beta, candidate or development. A legacy version is none. */
export function isPrerelease(text: string): boolean {
  const version = parseVersion(text)
  return version?.pre !== undefined || version?.dev !== undefined
}

/** The spelling PEP 440 prefers; zeros at the end of the release stay. A legacy version is only trimmed. */
export function canonicalVersion(text: string): string {
  const version = parseVersion(text)
  return version === undefined ? text.trim() : formatVersion(version)
}

/** One text for all spellings that PEP 440 holds equal, `1.0` and `v1.0.0` too: what makes two releases the same. */
export function versionIdentity(text: string): string {
  const version = parseVersion(text)
  if (version === undefined) return text.trim()
  return formatVersion({ ...version, release: significantRelease(version) })
}

/**
 * Ascending: PEP 440, below it all legacy versions in the order setuptools
 * once gave them. Total: of two spellings of one version, the one whose text
 * sorts first counts as the higher, so that `1.0` leads `1.0.0` in a
 * descending list.
 */
export function compareVersions(a: string, b: string): number {
  return compareTexts(versionSortKey(a), versionSortKey(b)) || compareTexts(b, a)
}

export function sortVersionsAscending(versions: Iterable<string>): string[] {
  const keyed = Array.from(versions, (text) => ({ text, key: versionSortKey(text) }))
  keyed.sort((a, b) => compareTexts(a.key, b.key) || compareTexts(b.text, a.text))
  return keyed.map(({ text }) => text)
}

export function sortVersionsDescending(versions: Iterable<string>): string[] {
  return sortVersionsAscending(versions).reverse()
}

/**
 * A text whose order by code unit is the order of versions, equal for equal
 * versions. Compute it once per version to sort many things by it; it is not
 * meant to be stored.
 */
export function versionSortKey(text: string): string {
  const version = parseVersion(text)
  return version === undefined ? `0${legacyKey(text)}` : `1${pep440Key(version)}`
}

/** Lower than whatever continues a release, a word or a local segment: what ends first sorts first. */
const END = '\0'

function pep440Key(version: Version): string {
  const { epoch, pre, post, dev, local } = version
  let key = numberKey(epoch)
  for (const number of significantRelease(version)) key += numberKey(number)
  key += END
  key += pre ? pre.label + numberKey(pre.number) : dev !== undefined && post === undefined ? '@' : 'z'
  key += post === undefined ? '@' : `p${numberKey(post)}`
  key += dev === undefined ? 'z' : `d${numberKey(dev)}`
  for (const segment of local ?? []) key += isNumber(segment) ? `n${numberKey(segment)}` : `a${segment}${END}`
  return key
}

/** Words of legacy versions that mean another: `dev` sorts before every letter, a dash opens a patch of a final release. */
const LEGACY_WORDS: ReadonlyMap<string, string> = new Map([
  ['pre', 'c'],
  ['preview', 'c'],
  ['rc', 'c'],
  ['dev', '@'],
  ['-', 'final-'],
])

/**
 * Numbers by value, words below numbers, and the word `final` at the end:
 * a version with a lower word, such as `a` or `c`, precedes the one without.
 * Zeros before a word do not count, nor does a dash before a lower word.
 */
function legacyKey(text: string): string {
  const parts: string[] = []
  for (const token of text.slice(0, LENGTH_LIMIT).toLowerCase().match(/\d+|[a-z]+|-|[^\da-z.-]+/g) ?? []) {
    if (isNumber(token)) parts.push(numberKey(plainNumber(token)))
    else pushWord(parts, wordKey(LEGACY_WORDS.get(token) ?? token))
  }
  pushWord(parts, FINAL)
  return parts.join('')
}

const FINAL = wordKey('final')
const FINAL_DASH = wordKey('final-')
const ZERO = numberKey('0')

function pushWord(parts: string[], word: string): void {
  if (word < FINAL) while (parts.at(-1) === FINAL_DASH) parts.pop()
  while (parts.at(-1) === ZERO) parts.pop()
  parts.push(word)
}

function wordKey(word: string): string {
  return `*${word}${END}`
}

/** Led by its length, so that texts sort as the numbers do; above `*`, which leads a word. */
function numberKey(digits: string): string {
  return String.fromCharCode(0x30 + digits.length) + digits
}

function formatVersion({ epoch, release, pre, post, dev, local }: Version): string {
  return [
    epoch === '0' ? '' : `${epoch}!`,
    release.join('.'),
    pre ? `${pre.label}${pre.number}` : '',
    post === undefined ? '' : `.post${post}`,
    dev === undefined ? '' : `.dev${dev}`,
    local ? `+${local.join('.')}` : '',
  ].join('')
}

/** PEP 440: zeros at the end of a release do not change the version. */
function significantRelease({ release }: Version): readonly string[] {
  const last = release.findLastIndex((number) => number !== '0')
  return release.slice(0, Math.max(last, 0) + 1)
}

function isNumber(text: string): boolean {
  return /^\d+$/.test(text)
}

/** A number that may be left out counts as 0. */
function plainNumber(digits: string): string {
  return digits.startsWith('0') ? digits.replace(/^0+(?=\d)/, '') : digits || '0'
}

function optionalNumber(digits: string | undefined): string | undefined {
  return digits === undefined ? undefined : plainNumber(digits)
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
