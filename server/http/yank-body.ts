import { Refusal } from '#log-format/api/refusal.js'
import type { JsonObject } from './json-body.js'

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
  if (typeof yanked === 'string') return yanked
  throw new Refusal('invalid', 'yanked must be true, false or the reason as a text')
}
