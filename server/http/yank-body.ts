import { Refusal } from '#log-format/api/refusal.js'
import type { JsonObject } from './json-body.js'

/** Characters of a reason: it stands on every page that shows the file, and installers print it in a line. */
const LONGEST_REASON = 1000

/**
 * The reason out of `{"yanked": true}`, which gives none, or a text instead of
 * `true` (PEP 592: it may be empty); undefined for `false`, which takes the
 * yank back. Refuses `invalid` for everything else.
 */
export function yankReasonOf(body: JsonObject): string | undefined {
  const { yanked, ...rest } = body
  if (Object.keys(rest).length > 0) throw new Refusal('invalid', 'only yanked can be changed here')
  if (yanked === true) return ''
  if (yanked === false) return undefined
  if (typeof yanked === 'string') return checkedReason(yanked)
  throw new Refusal('invalid', 'yanked must be true, false or the reason as a text')
}

function checkedReason(reason: string): string {
  if (reason.length > LONGEST_REASON) throw new Refusal('invalid', `the reason is ${reason.length} characters long; ${LONGEST_REASON} are enough to say it`)
  return reason
}
