import type { UpstreamReply } from './client.js'

/** `end` is behind the last byte. */
export interface ContentRange {
  readonly start: number
  readonly end: number
  readonly size: number
}

/** Which part of a file a reply has (RFC 9110, section 14.4); undefined for whatever is not one part of a file as it is. */
export function contentRangeOf({ status, headers }: UpstreamReply): ContentRange | undefined {
  const parsed = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(headers['content-range'] ?? '')
  if (status !== 206 || parsed === null || (headers['content-encoding'] ?? 'identity') !== 'identity') return undefined
  const [start = 0, last = 0, size = 0] = parsed.slice(1).map(Number)
  return start <= last && last < size ? { start, end: last + 1, size } : undefined
}

/** A validator by which parts of a file may be put together; a weak one compares with nothing (RFC 9110, 13.1.5). */
export function strongEtagOf({ headers: { etag } }: Pick<UpstreamReply, 'headers'>): string | undefined {
  return etag === undefined || etag.startsWith('W/') ? undefined : etag
}
