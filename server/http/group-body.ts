import { Refusal } from '#log-format/api/refusal.js'
import type { JsonValue } from '#log-format/values.js'
import type { MemberStep } from '#server/commands/groups.js'
import { isObject, type JsonObject } from './json-body.js'

/** The members out of `{"members": […]}`, none when it does not say. Refuses `invalid` for everything else. */
export function wantedMembers(body: JsonObject): readonly string[] {
  const { members = [], ...rest } = body
  const unknown = Object.keys(rest)
  if (unknown.length > 0) throw new Refusal('invalid', `unknown fields of a group: ${unknown.join(', ').slice(0, 200)}`)
  if (!Array.isArray(members) || !members.every((item) => typeof item === 'string')) {
    throw new Refusal('invalid', 'members must be a list of names of users')
  }
  return members
}

/**
 * What `{"members": […]}` or a list of `members=a,b`, `members+=a` and
 * `members-=a`, as for the settings of an index, asks for.
 */
export function wantedSteps(body: JsonValue): readonly MemberStep[] {
  if (Array.isArray(body)) return body.map(stepOf)
  if (isObject(body) && Object.hasOwn(body, 'members')) return [{ to: wantedMembers(body) }]
  throw new Refusal('invalid', 'a group is changed by {"members": […]} or a list of operations such as ["members+=name"]')
}

function stepOf(operation: JsonValue): MemberStep {
  const [, sign, text = ''] = (typeof operation === 'string' && /^members([+-]?)=(.*)$/s.exec(operation)) || []
  if (sign === '') return { to: text.split(',').map((name) => name.trim()).filter((name) => name !== '') }
  if (sign === '+' && text !== '') return { add: text }
  if (sign === '-' && text !== '') return { remove: text }
  throw new Refusal('invalid', 'an operation on a group must be a text such as "members+=name", "members-=name" or "members=name,name"')
}
