import type { Request } from 'express'
import { HTML_TYPE, JSON_TYPE, preferredType, SIMPLE_JSON_TYPE } from './negotiate.js'
import { noSuchRoute } from './params.js'

/** Refuses who accepts only a page: these addresses have none. */
export function requireJson(request: Request): void {
  if (preferredType(request.headers.accept, [JSON_TYPE]) === undefined) throw noSuchRoute()
}

/** What an index is asked for: its settings, its list of projects, or a page that does not exist. */
export function wantsProjectList(request: Request): boolean {
  return preferredType(request.headers.accept, [JSON_TYPE, SIMPLE_JSON_TYPE]) === SIMPLE_JSON_TYPE
}

/** An installer takes pages and simple JSON, whatever else it names. */
export function installerAccepts(request: Request): boolean {
  return preferredType(request.headers.accept, [HTML_TYPE, SIMPLE_JSON_TYPE]) !== undefined
}
