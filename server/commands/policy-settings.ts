import { Refusal } from '#log-format/api/refusal.js'
import type { JsonValue } from '#log-format/values.js'
import { parseConstraint, parseDuration, parseExemption, parseTime, splitConstraints } from '#server/packaging/policy-text.js'

/** The options that say which releases are shown of an index and of what it inherits. Each refuses `invalid` what it cannot read. */
export const POLICY_KEYS: Readonly<Record<string, (value: JsonValue, key: string) => JsonValue>> = {
  min_release_age: toDuration,
  freeze_at: toTime,
  constraints: toConstraints,
  policy_exemptions: toExemptions,
}

const MOST_LINES = 1000
const LONGEST_LINE = 300

/** The lines of an option that is a list and may be written as a text; others stay as they are. */
export function policyItems(key: string, text: string): JsonValue {
  if (key === 'constraints') return splitConstraints(text)
  return key === 'policy_exemptions' ? linesOf(text) : text
}

function toDuration(value: JsonValue, key: string): string {
  const text = typeof value === 'string' ? value.trim().toLowerCase() : undefined
  if (text !== undefined && parseDuration(text) !== undefined) return text
  throw new Refusal('invalid', `'${key}' option must be a duration such as 7d, 36h or 1w2d, not ${shortened(value)}`)
}

function toTime(value: JsonValue, key: string): string {
  const ms = typeof value === 'string' ? parseTime(value) : undefined
  if (ms !== undefined) return new Date(ms).toISOString()
  throw new Refusal('invalid', `'${key}' option must be a time such as 2026-11-01 or 2026-11-01T12:00:00Z, not ${shortened(value)}`)
}

function toConstraints(value: JsonValue, key: string): string[] {
  return policyLines(value, key, typeof value === 'string' ? policyItems(key, value) : value, {
    parse: parseConstraint,
    example: 'requests>=2.31, !leftpad, acme-* or !*',
  })
}

function toExemptions(value: JsonValue, key: string): string[] {
  return policyLines(value, key, typeof value === 'string' ? policyItems(key, value) : value, {
    parse: parseExemption,
    example: 'requests==2.32.4 until 2026-12-24 because it mends a hole',
  })
}

function policyLines(value: JsonValue, key: string, given: JsonValue, { parse, example }: { readonly parse: (line: string) => object | undefined; readonly example: string }): string[] {
  if (!isStrings(given)) throw new Refusal('invalid', `Unknown list value ${shortened(value)}.`)
  const lines = given.map((line) => line.trim()).filter((line) => line !== '')
  if (lines.length > MOST_LINES) throw new Refusal('invalid', `'${key}' option may have ${MOST_LINES} lines at most`)
  const fault = lines.find((line) => line.length > LONGEST_LINE || !line.isWellFormed() || parse(line) === undefined)
  if (fault !== undefined) throw new Refusal('invalid', `'${key}' option must have lines such as ${example}, not ${shortened(fault)}`)
  return [...new Set(lines)]
}

/** What holds commas is one item a line. */
function linesOf(text: string): string[] {
  return text.split('\n').map((line) => line.trim()).filter((line) => line !== '')
}

function isStrings(value: JsonValue): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function shortened(value: JsonValue): string {
  const text = typeof value === 'string' ? `'${value.slice(0, LONGEST_LINE)}'` : JSON.stringify(value).slice(0, LONGEST_LINE)
  return text.toWellFormed()
}
