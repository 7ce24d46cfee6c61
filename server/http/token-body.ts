import type { NewTokenJson } from '#log-format/api/tokens.js'
import { Refusal } from '#log-format/api/refusal.js'
import type { JsonValue } from '#log-format/values.js'
import type { CreateToken } from '#server/commands/tokens.js'
import type { JsonObject } from './json-body.js'

type WantedToken = Pick<CreateToken, 'name' | 'scope' | 'expires'>

/** Every field there is. */
const FIELDS: ReadonlySet<string> = new Set<keyof NewTokenJson>(['name', 'actions', 'indexes', 'expires'])

/** A date, or a moment with its offset from UTC; nothing that would be another moment elsewhere. */
const ISO_8601 = /^(\d{4})-(\d{2})-(\d{2})(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/

/** What token is asked for. Refuses `invalid` for other shapes; whether it can be had is the command's question. */
export function wantedToken(body: JsonObject): WantedToken {
  const unknown = Object.keys(body).filter((key) => !FIELDS.has(key))
  if (unknown.length > 0) throw new Refusal('invalid', `unknown fields of an API token: ${unknown.join(', ').slice(0, 200)}`)
  const { name, actions, indexes, expires } = body
  if (typeof name !== 'string') throw new Refusal('invalid', 'an API token needs a name, as a text')
  return {
    name,
    scope: { actions: texts('actions', actions), indexes: texts('indexes', indexes) },
    expires: expires === undefined || expires === null ? undefined : moment(expires),
  }
}

function texts(field: string, value: JsonValue | undefined): readonly string[] {
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value
  throw new Refusal('invalid', `an API token needs ${field}, as a list of texts`)
}

/** ms since the epoch. */
function moment(value: JsonValue): number {
  const [text, year, month, day] = (typeof value === 'string' && ISO_8601.exec(value)) || []
  const ms = text === undefined ? NaN : Date.parse(text)
  if (Number.isNaN(ms) || !isDate(Number(year), Number(month), Number(day))) {
    throw new Refusal('invalid', 'expires must be a date or moment such as 2030-01-31 or 2030-01-31T12:00:00Z')
  }
  return ms
}

/** The 31st of February is none, although some parsers take it for a day of March. */
function isDate(year: number, month: number, day: number): boolean {
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day
}
