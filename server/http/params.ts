import type { ParamsDictionary } from 'express-serve-static-core'
import type { Request } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import { isKeySegment } from '#log-format/names.js'
import type { GroupRef } from '#server/commands/groups.js'
import type { FileRef, IndexRef, ProjectRef, UserRef, VersionRef } from '#server/commands/lookups.js'
import type { TokenRef } from '#server/commands/tokens.js'
import { normalizeProjectName } from '#server/packaging/project-name.js'

/** The refusal of an address that no route has. */
export function noSuchRoute(): Refusal {
  return new Refusal('not-found', 'The resource could not be found.', { form: 'status' })
}

export function userPath(params: ParamsDictionary): UserRef {
  return { user: nameParam(params, 'user') }
}

export function groupPath(params: ParamsDictionary): GroupRef {
  return { group: nameParam(params, 'group') }
}

export function tokenPath(params: ParamsDictionary): TokenRef {
  return { ...userPath(params), id: segmentParam(params, 'id') }
}

export function indexPath(params: ParamsDictionary): IndexRef {
  return { ...userPath(params), index: nameParam(params, 'index') }
}

/** With the project in normal form, however it was spelled. */
export function projectPath(params: ParamsDictionary): ProjectRef {
  return { ...indexPath(params), project: normalizeProjectName(nameParam(params, 'project')) }
}

export function versionPath(params: ParamsDictionary): VersionRef {
  return { ...projectPath(params), version: segmentParam(params, 'version') }
}

/** `{user}/{index}/+f/{dirA}/{dirB}/{basename}`; undefined for another shape below `+f`, which names nothing stored. */
export function filePathParams(params: ParamsDictionary): FileRef | undefined {
  const { path } = params
  const parts = Array.isArray(path) ? [...path] : [String(path)]
  if (parts.at(-1) === '') parts.pop() // a slash at the end is passed over
  const [dirA = '', dirB = '', name = '', ...rest] = parts
  const basename = name.replace(/#.*$/s, '') // some clients send the fragment along
  if (rest.length > 0 || ![dirA, dirB, basename].every(isKeySegment)) return undefined
  return { ...indexPath(params), dirA, dirB, basename }
}

/** Whether the query has the parameter, with any value or none. */
export function hasFlag(request: Request, name: string): boolean {
  return new URLSearchParams(queryOf(request)).has(name)
}

export function queryOf(request: Request): string {
  const at = request.url.indexOf('?')
  return at === -1 ? '' : request.url.slice(at)
}

/** Names of users, indexes and projects hold no `+`: such a segment belongs to a route of its own, or to none. */
function nameParam(params: ParamsDictionary, name: string): string {
  const value = segmentParam(params, name)
  if (value.includes('+')) throw noSuchRoute()
  return value
}

function segmentParam(params: ParamsDictionary, name: string): string {
  const value = params[name]
  if (typeof value !== 'string' || !isKeySegment(value)) throw noSuchRoute()
  return value
}
