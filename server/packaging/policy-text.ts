import { parseSpecifiers } from '#log-format/specifiers.js'
import { normalizeProjectName } from './project-name.js'

/*
 * How release policies are written, in settings of an index:
 *
 *   min_release_age     7d, 36h, 1w2d
 *   freeze_at           2026-11-01, 2026-11-01T12:00:00Z
 *   constraints         requests>=2.31,<3   only these versions of a project
 *                       !leftpad            none of it; !leftpad<2 for some
 *                       acme-*              names that begin so
 *                       !*                  nothing that no other line names
 *   policy_exemptions   requests==2.32.4 until 2026-12-24 because it mends CVE-2026-1
 */

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }
const LONGEST_MS = 36_500 * 86_400_000

/** ms; undefined for what is no duration of at most a hundred years, such as a number without a unit. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0
  if (!/^(?:\d{1,9}[smhdw])+$/.test(text) || text.length > 50) return undefined
  let sum = 0
  for (const [, number = '', unit = ''] of text.matchAll(/(\d+)([smhdw])/g)) sum += Number(number) * (UNIT_MS[unit] ?? 0)
  return sum <= LONGEST_MS ? sum : undefined
}

const TIME = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2}))?$/

/** ms since the epoch of an RFC 3339 time, or of a day, which begins at midnight UTC. */
export function parseTime(text: string): number | undefined {
  const spelled = text.trim().toUpperCase()
  const ms = TIME.test(spelled) ? Date.parse(spelled) : Number.NaN
  if (Number.isNaN(ms)) return undefined
  const [day = ''] = spelled.split('T')
  return new Date(Date.parse(day)).toISOString().startsWith(day) ? ms : undefined // no 30th of February
}

/** The projects that a line is about: the name of one, how their names begin, or all. */
export interface Scope {
  readonly kind: 'name' | 'prefix' | 'all'
  /** In normal form. */
  readonly name: string
}

/** One line of constraints. */
export interface Constraint {
  readonly text: string
  readonly denies: boolean
  readonly scope: Scope
  matches(version: string): boolean
}

const CONSTRAINT = /^(!?)\s*(\*|[A-Za-z0-9](?:[A-Za-z0-9._-]*\*|(?:[A-Za-z0-9._-]*[A-Za-z0-9])?))\s*((?:[=<>~!].*)?)$/s

export function parseConstraint(text: string): Constraint | undefined {
  const [, sign, name = '', rest = ''] = CONSTRAINT.exec(text) ?? []
  const specifiers = sign === undefined ? undefined : parseSpecifiers(rest)
  if (specifiers === undefined) return undefined
  return { text, denies: sign === '!', scope: scopeOf(name), matches: (version) => specifiers.matches(version) }
}

/** What a line is about, without reading which versions: for who looks for the few of many that matter. */
export function scopeOfConstraint(text: string): Scope | undefined {
  const name = CONSTRAINT.exec(text)?.[2]
  return name === undefined ? undefined : scopeOf(name)
}

/** What is shown until a time although a rule would hide it. */
export interface Exemption {
  readonly text: string
  readonly scope: Scope
  /** ms since the epoch. */
  readonly until: number
  readonly reason: string
  matches(version: string): boolean
}

const EXEMPTION = /^(\S.*?)\s+until\s+(\S+)\s+because\s+(\S.*)$/s

/** Undefined, too, for one that is about everything: who wants that takes the rule away. */
export function parseExemption(text: string): Exemption | undefined {
  const [, what = '', time = '', reason = ''] = EXEMPTION.exec(text) ?? []
  const about = parseConstraint(what)
  const until = parseTime(time)
  if (about === undefined || about.denies || about.scope.kind === 'all' || until === undefined) return undefined
  return { text, scope: about.scope, until, reason, matches: (version) => about.matches(version) }
}

/** How narrowly a scope takes a project in, 0 where it does not: a name before how it begins, and that before all. */
export function narrowness({ kind, name }: Scope, project: string): number {
  if (kind === 'all') return 1
  if (kind === 'name') return name === project ? Infinity : 0
  return project.startsWith(name) ? 1 + name.length : 0
}

function scopeOf(text: string): Scope {
  if (text === '*') return { kind: 'all', name: '' }
  if (!text.endsWith('*')) return { kind: 'name', name: normalizeProjectName(text) }
  return { kind: 'prefix', name: text.slice(0, -1).toLowerCase().replace(/[-_.]+/g, '-') }
}

/** Lines out of a text: one a line, or with commas between them, where a comma before `>=` and its like belongs to the line. */
export function splitConstraints(text: string): string[] {
  const lines: string[] = []
  for (const line of text.split('\n')) {
    const first = lines.length
    for (const piece of line.split(',').map((part) => part.trim())) {
      const before = lines.length > first && /^(?:[=<>~]|!=)/.test(piece) ? lines.pop() : undefined
      if (piece !== '') lines.push(before === undefined ? piece : `${before},${piece}`)
    }
  }
  return lines
}
