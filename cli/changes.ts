import { FormatError } from '#log-format/errors.js'
import { checkMutation } from '#log-format/mutation.js'
import { mutationText } from '#log-format/mutation-text.js'
import type { JsonValue } from '#log-format/values.js'
import { isObject, type JsonObject, textOf } from './json.js'

/** An entry of the changes feed, as far as it could be understood. */
export interface Change {
  readonly serial: number
  readonly time: string
  readonly actor: string
  readonly mutation: JsonObject
}

/** Undefined for what is no change. */
export function changeOf(value: unknown): Change | undefined {
  if (!isObject(value)) return undefined
  const { serial, time, actor, mutation } = value
  if (typeof serial !== 'number' || typeof time !== 'string' || typeof actor !== 'string' || !isObject(mutation)) return undefined
  return { serial, time, actor, mutation }
}

/** One line: when, who, what. */
export function changeText({ serial, time, actor, mutation }: Change): string {
  return `${String(serial).padStart(6)}  ${time.replace('T', ' ').replace(/\.\d+Z$/, '')}  ${actor} ${whatText(mutation)}`
}

/** What was left out of a mutation, and kinds of a newer server, leave its kind and the names in it. */
function whatText(mutation: JsonObject): string {
  try {
    return mutationText(checkMutation(JSON.parse(JSON.stringify(mutation)) as JsonValue))
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    const names = ['user', 'index', 'project', 'version', 'file'].flatMap((field) => textOf(mutation[field]) ?? [])
    return `did ${textOf(mutation['kind']) ?? 'something'}${names.length === 0 ? '' : ` on ${names.join('/')}`}`
  }
}
