import type { IncomingHttpHeaders } from 'node:http'

/** What a client may compare its copy with. */
export interface Validators {
  /** Quoted, strong. */
  readonly etag: string
  /** ms since the epoch. */
  readonly lastModifiedMs?: number | undefined
}

/** Whether a GET or HEAD is answered 304 (RFC 9110 13.2.2): If-None-Match decides, else If-Modified-Since. */
export function isNotModified(headers: IncomingHttpHeaders, { etag, lastModifiedMs }: Validators): boolean {
  const tags = headers['if-none-match']
  if (tags !== undefined) return tags.trim() === '*' || entityTags(tags).some((tag) => tag.replace(/^W\//u, '') === etag)
  const since = headers['if-modified-since']
  if (since === undefined || lastModifiedMs === undefined) return false
  return wholeSeconds(lastModifiedMs) <= Date.parse(since) // false for a date that is none
}

/** Whether a Range header counts (RFC 9110 13.1.5): If-Range is absent, or a strong match. */
export function rangeApplies(headers: IncomingHttpHeaders, { etag, lastModifiedMs }: Validators): boolean {
  const condition = headers['if-range']
  if (condition === undefined || Array.isArray(condition)) return condition === undefined
  if (/^(W\/)?"/u.test(condition)) return condition === etag
  return lastModifiedMs !== undefined && wholeSeconds(lastModifiedMs) === Date.parse(condition)
}

function entityTags(list: string): string[] {
  return list.match(/(?:W\/)?"[^"]*"/gu) ?? []
}

function wholeSeconds(timeMs: number): number {
  return Math.floor(timeMs / 1000) * 1000
}
