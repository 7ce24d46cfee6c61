import type { Request } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import { isKeySegment } from '#log-format/names.js'
import { NO_SERIAL, parseSerial, type Serial } from '#log-format/serial.js'
import { normalizeProjectName } from '#server/packaging/project-name.js'
import type { ChangeFilter } from '#server/projections/changes.js'
import { queryOf } from './params.js'

const FEW_CHANGES = 100
const MOST_CHANGES = 1000

export interface ChangesQuery {
  readonly since: Serial | undefined
  readonly limit: number
  readonly filter: ChangeFilter
}

/** `?since=&limit=&user=&index=&project=`. Refuses `invalid` what cannot be meant. Other parameters are passed over. */
export function changesQuery(request: Request): ChangesQuery {
  const query = new URLSearchParams(queryOf(request))
  const since = onlyValue(query, 'since')
  return { since: since === undefined ? undefined : serialOf(since, 'since'), limit: limitOf(query), filter: filterOf(query) }
}

/** Where a stream that was interrupted goes on. Refuses `invalid`. */
export function resumedFrom({ headers }: Request): Serial | undefined {
  const id = headers['last-event-id']
  return id === undefined || id === '' ? undefined : serialOf(String(id), 'Last-Event-ID')
}

function serialOf(text: string, name: string): Serial {
  const serial = text === '-1' ? NO_SERIAL : parseSerial(text)
  if (serial === undefined) throw new Refusal('invalid', `${name} wants a serial, a whole number from -1 on`)
  return serial
}

function limitOf(query: URLSearchParams): number {
  const text = onlyValue(query, 'limit') ?? String(FEW_CHANGES)
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : NaN
  if (limit >= 1 && limit <= MOST_CHANGES) return limit
  throw new Refusal('invalid', `limit wants a whole number from 1 to ${MOST_CHANGES}`)
}

/** An index is `user/index`, or its own name beside a user. */
function filterOf(query: URLSearchParams): ChangeFilter {
  const user = nameOf(query, 'user')
  const project = nameOf(query, 'project')
  const named = onlyValue(query, 'index')?.split('/') ?? []
  const index = named.at(-1)
  const owner = named.length === 2 ? named[0] : user
  const isUnclear = index !== undefined && (named.length > 2 || owner === undefined || (user !== undefined && owner !== user))
  if (isUnclear || ![index, owner].every(isNameOrAbsent)) {
    throw new Refusal('invalid', 'index wants user/index, or the name of an index of the user that is named beside it')
  }
  return {
    ...(owner !== undefined && { user: owner }),
    ...(index !== undefined && { index }),
    ...(project !== undefined && { project: normalizeProjectName(project) }),
  }
}

function nameOf(query: URLSearchParams, parameter: string): string | undefined {
  const name = onlyValue(query, parameter)
  if (!isNameOrAbsent(name)) throw new Refusal('invalid', `${parameter} wants a name`)
  return name
}

function isNameOrAbsent(name: string | undefined): boolean {
  return name === undefined || isKeySegment(name)
}

/** An empty value counts as none: forms send it. */
function onlyValue(query: URLSearchParams, parameter: string): string | undefined {
  const values = query.getAll(parameter)
  if (values.length > 1) throw new Refusal('invalid', `${parameter} is given ${values.length} times; give it once`)
  return values[0] === '' ? undefined : values[0]
}
