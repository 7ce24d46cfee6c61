import { compareVersions, isPep440, parseVersion, versionIdentity, versionSortKey } from '#log-format/version.js'
import { Failure } from './failure.js'

/** Which versions of a project are meant (PEP 508 without extras and markers). Pre-releases always count. */
export interface Requirement {
  readonly project: string
  /** Whether any version is ruled out. */
  readonly isBare: boolean
  matches(version: string): boolean
}

type Operator = '===' | '==' | '!=' | '~=' | '<=' | '>=' | '<' | '>'

interface Clause {
  readonly operator: Operator
  readonly version: string
}

const REQUIREMENT = /^\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(.*)$/s
const CLAUSE = /^(===|==|!=|~=|<=|>=|<|>)\s*([^\s,;()]+)$/

/** Reads `kite`, `kite==1.0`, `kite>=1,<2`. Fails for everything else. */
export function parseRequirement(text: string): Requirement {
  const [, project = '', rest = ''] = REQUIREMENT.exec(text) ?? []
  const inner = rest.trim().replace(/^\((.*)\)$/s, '$1').trim()
  const clauses = inner === '' ? [] : inner.split(',').map((part) => clauseOf(part.trim(), text))
  if (project === '') throw notOne(text)
  return { project, isBare: clauses.length === 0, matches: (version) => clauses.every((clause) => satisfies(version, clause)) }
}

function clauseOf(part: string, text: string): Clause {
  const [, operator, version = ''] = CLAUSE.exec(part) ?? []
  const wanted = version.replace(/\.\*$/, '')
  const isPrefix = wanted !== version
  if (operator === undefined || (operator !== '===' && !isPep440(wanted)) || (isPrefix && operator !== '==' && operator !== '!=')) throw notOne(text)
  if (operator === '~=' && (parseVersion(version)?.release.length ?? 0) < 2) throw notOne(text)
  return { operator: operator as Operator, version }
}

function notOne(text: string): Failure {
  return new Failure('CONFIG', `'${text}' is no requirement such as name, name==1.0 or name>=1,<2`)
}

/** PEP 440, "Version specifiers". A legacy version satisfies only `===`, and no range. */
function satisfies(version: string, { operator, version: wanted }: Clause): boolean {
  if (operator === '===') return version.toLowerCase() === wanted.toLowerCase()
  if (!isPep440(version)) return false
  switch (operator) {
    case '==':
      return equals(version, wanted)
    case '!=':
      return !equals(version, wanted)
    case '<=':
      return order(publicPart(version), wanted) <= 0
    case '>=':
      return order(publicPart(version), wanted) >= 0
    case '<':
      return order(version, wanted) < 0 && !(isPre(version) && !isPre(wanted) && sameRelease(version, wanted))
    case '>':
      return order(publicPart(version), wanted) > 0 && !(isPost(version) && !isPost(wanted) && sameRelease(version, wanted))
    case '~=':
      return order(publicPart(version), wanted) >= 0 && equals(version, compatiblePrefix(wanted))
  }
}

function order(a: string, b: string): number {
  return versionIdentity(a) === versionIdentity(b) ? 0 : compareVersions(a, b)
}

/** `==1.*` compares the parts that are given; without a local part in it, a local version counts as its public one. */
function equals(version: string, wanted: string): boolean {
  if (wanted.endsWith('.*')) return startsWith(version, wanted.slice(0, -2))
  return versionIdentity(wanted.includes('+') ? version : publicPart(version)) === versionIdentity(wanted)
}

function startsWith(version: string, prefix: string): boolean {
  const found = parseVersion(version)
  const wanted = parseVersion(prefix)
  if (found === undefined || wanted === undefined || found.epoch !== wanted.epoch) return false
  return wanted.release.every((number, at) => (found.release[at] ?? '0') === number)
}

/** `~=1.4.2` is `==1.4.*`. */
function compatiblePrefix(version: string): string {
  const parsed = parseVersion(version)
  const release = parsed?.release.slice(0, -1) ?? []
  return `${parsed === undefined || parsed.epoch === '0' ? '' : `${parsed.epoch}!`}${release.join('.')}.*`
}

function publicPart(version: string): string {
  return version.split('+')[0] ?? version
}

function isPre(version: string): boolean {
  const parsed = parseVersion(version)
  return parsed?.pre !== undefined || parsed?.dev !== undefined
}

function isPost(version: string): boolean {
  return parseVersion(version)?.post !== undefined
}

function sameRelease(a: string, b: string): boolean {
  const base = (text: string): string => {
    const parsed = parseVersion(text)
    return parsed === undefined ? text : versionSortKey(`${parsed.epoch}!${parsed.release.join('.')}`)
  }
  return base(a) === base(b)
}

/** The normal form of a project name (PEP 503). */
export function normalizeName(name: string): string {
  return name.replace(/[^A-Za-z0-9]+/g, '-').toLowerCase()
}
