import { type Constraint, type Exemption, narrowness, parseConstraint, parseDuration, parseExemption, parseTime, type Scope, scopeOfConstraint } from './policy-text.js'

/** The settings of an index that say which releases it shows, as they are stored. */
export interface PolicySettings {
  readonly min_release_age?: string
  readonly freeze_at?: string
  readonly constraints?: readonly string[]
  readonly policy_exemptions?: readonly string[]
}

export const POLICY_OPTIONS = ['min_release_age', 'freeze_at', 'constraints', 'policy_exemptions'] as const

/** What a policy goes by: of which version a file is, and since when it counts as being there, ms since the epoch. */
export interface JudgedFile {
  readonly version: string
  readonly entered: number
}

/** A rule that hides a file. */
export interface Rule {
  readonly option: 'min_release_age' | 'freeze_at' | 'constraints'
  /** The value of the option, or the line of it. */
  readonly value: string
  /** When time alone lifts it, ms since the epoch; undefined for never. */
  readonly until: number | undefined
}

export interface Verdict {
  /** Empty for a file that is shown. */
  readonly hiddenBy: readonly Rule[]
  /** Why it is shown although a rule would hide it. */
  readonly exemption?: Exemption
  /** Until when this holds, ms since the epoch; infinite where only settings can change it. */
  readonly next: number
}

/** What the policy of one index says of the files of one project at a moment. */
export type Judge = (file: JudgedFile, now: number) => Verdict

const SHOWN: Verdict = { hiddenBy: [], next: Infinity }

export function hasPolicy({ min_release_age, freeze_at, constraints }: PolicySettings): boolean {
  return min_release_age !== undefined || freeze_at !== undefined || (constraints !== undefined && constraints.length > 0)
}

/**
 * Undefined where the policy has nothing to say of the project. Settings were
 * checked when they were made; ones that cannot be read are a fault, and show nothing.
 */
export function policyOn(settings: PolicySettings, project: string): Judge | undefined {
  if (!hasPolicy(settings)) return undefined
  const age = settings.min_release_age === undefined ? undefined : { text: settings.min_release_age, ms: read(settings.min_release_age, parseDuration) }
  const freeze = settings.freeze_at === undefined ? undefined : { text: settings.freeze_at, ms: read(settings.freeze_at, parseTime) }
  const constraints = (settings.constraints ?? []).filter((line) => concerns(read(line, scopeOfConstraint), project)).map((line) => read(line, parseConstraint))
  if (age === undefined && freeze === undefined && constraints.length === 0) return undefined
  const exemptions = (settings.policy_exemptions ?? []).map((line) => read(line, parseExemption)).filter(({ scope }) => concerns(scope, project))
  const lineAgainst = remembered((version) => constraintAgainst(constraints, project, version))

  return ({ version, entered }, now) => {
    const rules: Rule[] = []
    if (age !== undefined && entered + age.ms > now) rules.push({ option: 'min_release_age', value: age.text, until: entered + age.ms })
    if (freeze !== undefined && entered > freeze.ms) rules.push({ option: 'freeze_at', value: freeze.text, until: undefined })
    const line = lineAgainst(version)
    if (line !== undefined) rules.push({ option: 'constraints', value: line.text, until: undefined })
    if (rules.length === 0) return SHOWN
    const exemption = exemptionFor(exemptions, version, now)
    if (exemption !== undefined) return { hiddenBy: [], exemption, next: exemption.until }
    return { hiddenBy: rules, next: liftedAt(rules) ?? Infinity }
  }
}

/** When time alone has lifted all of the rules; undefined for never. */
export function liftedAt(rules: readonly Rule[]): number | undefined {
  let last = -Infinity
  for (const { until } of rules) {
    if (until === undefined) return undefined
    last = Math.max(last, until)
  }
  return last
}

/** `min_release_age=7d of acme/prod until 2026-12-01T00:00:00.000Z`. */
export function ruleText({ option, value, until }: Rule, index: string): string {
  return `${option}=${value} of ${index}${until === undefined ? '' : ` until ${new Date(until).toISOString()}`}`
}

/**
 * The line that rules a version out. Of the lines that say what may be had,
 * the narrowest that take the project in decide, and all of those must hold,
 * as in a constraints file; a denial counts unless they are narrower than it.
 */
function constraintAgainst(constraints: readonly Constraint[], project: string, version: string): Constraint | undefined {
  const allowing = constraints.filter(({ denies }) => !denies)
  const narrowest = Math.max(0, ...allowing.map(({ scope }) => narrowness(scope, project)))
  const broken = allowing.find((line) => narrowness(line.scope, project) === narrowest && !line.matches(version))
  return broken ?? constraints.find((line) => line.denies && narrowness(line.scope, project) >= narrowest && line.matches(version))
}

/** The one that holds longest. */
function exemptionFor(exemptions: readonly Exemption[], version: string, now: number): Exemption | undefined {
  let found: Exemption | undefined
  for (const exemption of exemptions) {
    if (exemption.until > now && exemption.until > (found?.until ?? now) && exemption.matches(version)) found = exemption
  }
  return found
}

function concerns(scope: Scope, project: string): boolean {
  return narrowness(scope, project) > 0
}

function read<T>(text: string, parse: (text: string) => T | undefined): T {
  const found = parse(text)
  if (found === undefined) throw new Error('the policy of an index cannot be read')
  return found
}

/** Files of one version are many. */
function remembered<T>(find: (version: string) => T): (version: string) => T {
  const known = new Map<string, T>()
  return (version) => {
    const found = known.get(version)
    if (found !== undefined || known.has(version)) return found as T
    const value = find(version)
    known.set(version, value)
    return value
  }
}
