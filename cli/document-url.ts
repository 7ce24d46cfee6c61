import type { Context } from './base-command.js'
import { Failure } from './failure.js'
import { below, isHttp, parseServerUrl } from './urls.js'

/**
 * Where `getjson` and `patchjson` look: a whole URL; a path from the root of
 * the server, with a slash; a path from the current index, without. A query string stays.
 */
export function documentUrl({ session }: Context, path: string): string {
  if (isHttp(path)) return parseServerUrl(path).href
  const { root, place } = session
  if (root === undefined || place === undefined) throw new Failure('NO_SERVER', 'no server currently selected', { hint: 'select one with `devpi use URL`' })
  if (path.startsWith('/')) return below(root, path)
  if (place.index === undefined) throw new Failure('NO_INDEX', 'cannot use relative path without an active index')
  return below(`${place.index}/`, path)
}

/** As the reference prints it: 4 spaces, keys sorted. */
export function documentText(value: unknown): string {
  return JSON.stringify(value, sortedKeys, 4)
}

function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
}
