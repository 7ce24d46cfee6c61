import type { IncomingHttpHeaders } from 'node:http'

/**
 * A simple page may be kept, but is to be asked for anew each time; its ETag makes that cheap. Private, because
 * who asks may decide what is on it.
 */
export const PAGE_CACHE_CONTROL = 'private, max-age=0, no-cache'

/** How many files policies keep off a page, and when the next of them comes back. */
export const POLICY_HEADER = 'X-DEVPI-POLICY'

/** For a page of stale mirror data, sent at `now` in ms: no cache on the way shall answer with it again. */
export function stalePageHeaders(now: number): Readonly<Record<string, string>> {
  const date = formatHttpDate(now)
  return {
    'Cache-Control': 'max-age=0, must-revalidate, no-cache, no-store',
    Expires: date,
    'Last-Modified': date,
    Pragma: 'no-cache',
  }
}

/** A path of `+f` names its content, so it never answers anything else. */
export const FILE_CACHE_CONTROL = 'max-age=365000000, immutable, public'

/** The same for a file that not everybody may read: shared caches do not ask who wants it. */
export const RESTRICTED_FILE_CACHE_CONTROL = 'max-age=365000000, immutable, private'

/** The validators of what would be sent. `etag` with its quotes; of the time, whole seconds count. */
export interface Validators {
  readonly etag: string
  readonly lastModifiedMs?: number | undefined
}

/** Whether a GET or HEAD may end in 304 (RFC 9110, 13.2.2): with `If-None-Match`, the date does not count. */
export function isNotModified(headers: IncomingHttpHeaders, validators: Validators): boolean {
  const ifNoneMatch = headers['if-none-match']
  if (ifNoneMatch !== undefined) return etagMatches(ifNoneMatch, validators.etag)
  const { lastModifiedMs } = validators
  return lastModifiedMs !== undefined && isUnmodifiedSince(headers['if-modified-since'], lastModifiedMs)
}

/**
 * `If-None-Match`: a list of ETags or `*`, compared weakly (RFC 9110, 8.8.3.2).
 * False without the header, or for nonsense.
 */
export function etagMatches(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  if (ifNoneMatch === etag || ifNoneMatch.trim() === '*') return true
  if (!ETAG_LIST.test(ifNoneMatch)) return false
  const wanted = opaqueTag(etag)
  return (ifNoneMatch.match(ETAG) ?? []).some((tag) => opaqueTag(tag) === wanted)
}

/**
 * `If-Range` (RFC 9110, 13.1.5): whether a range may be sent instead of the whole. True without the header. Compared
 * strongly: a weak ETag never matches, a date only exactly.
 */
export function ifRangeMatches(ifRange: string | readonly string[] | undefined, validators: Validators): boolean {
  if (ifRange === undefined) return true
  const stated = String(ifRange).trim() // repeated it matches nothing
  if (stated.endsWith('"')) return stated === validators.etag && !stated.startsWith('W/')
  return validators.lastModifiedMs !== undefined && parseHttpDate(stated) === wholeSeconds(validators.lastModifiedMs)
}

/** `If-Modified-Since`: nothing happened since then. False without the header or without a date in it. */
export function isUnmodifiedSince(ifModifiedSince: string | undefined, lastModifiedMs: number): boolean {
  const since = ifModifiedSince === undefined ? undefined : parseHttpDate(ifModifiedSince.trim())
  return since !== undefined && wholeSeconds(lastModifiedMs) <= since
}

/** `Mon, 04 May 2026 09:10:11 GMT`. */
export function formatHttpDate(ms: number): string {
  return new Date(ms).toUTCString()
}

/** ETag characters may be commas, so a list cannot be split at them. */
const ETAG = /(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g
const ETAG_LIST = /^[\s,]*(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"(?:\s*,[\s,]*(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"|[\s,]+$)*$/

function opaqueTag(etag: string): string {
  return etag.startsWith('W/') ? etag.slice(2) : etag
}

const HTTP_DATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/

/** The one form that is still sent (RFC 9110, 5.6.7): who sends an older one gets the whole answer, never a wrong one. */
function parseHttpDate(text: string): number | undefined {
  const ms = HTTP_DATE.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(ms) ? undefined : ms
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000
}
