import { compareVersions, isPep440, parseVersion, versionIdentity, versionSortKey } from './version.js'

/** Which versions are meant (PEP 440, "Version specifiers"). Pre-releases count like all others. */
export interface Specifiers {
  /** Whether every version is meant. */
  readonly isEmpty: boolean
  matches(version: string): boolean
}

type Operator = '===' | '==' | '!=' | '~=' | '<=' | '>=' | '<' | '>'

interface Clause {
  readonly operator: Operator
  readonly version: string
}

const CLAUSE = /^(===|==|!=|~=|<=|>=|<|>)\s*([^\s,;()]+)$/

/** Reads `==1.0`, `>=1,<2` or nothing at all; undefined for everything else. */
export function parseSpecifiers(text: string): Specifiers | undefined {
  const trimmed = text.trim()
  const clauses: Clause[] = []
  for (const part of trimmed === '' ? [] : trimmed.split(',')) {
    const clause = clauseOf(part.trim())
    if (clause === undefined) return undefined
    clauses.push(clause)
  }
  return { isEmpty: clauses.length === 0, matches: (version) => clauses.every((clause) => satisfies(version, clause)) }
}

function clauseOf(part: string): Clause | undefined {
  const [, operator, version = ''] = CLAUSE.exec(part) ?? []
  const wanted = version.replace(/\.\*$/, '')
  const isPrefix = wanted !== version
  if (operator === undefined || (operator !== '===' && !isPep440(wanted)) || (isPrefix && operator !== '==' && operator !== '!=')) return undefined
  if (operator === '~=' && (parseVersion(version)?.release.length ?? 0) < 2) return undefined
  return { operator: operator as Operator, version }
}

/** A legacy version satisfies only `===`, and no range. */
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
