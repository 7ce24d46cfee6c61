import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { isObject, parseJson } from '#cli/json.js'
import { CLI_SHAPES, COMMANDS, type Printed } from '#scripts/cli-json-parts/commands.js'
import { ERROR } from '#scripts/cli-json-parts/error.js'
import { SHAPES } from '#server/http/api-description/all.js'
import { named, shapesSchema } from '#test/support/api-replies.js'

const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true, formats: { binary: true } })
ajv.addSchema(shapesSchema({ ...SHAPES, ...CLI_SHAPES }))
const compiled = new Map<object, ValidateFunction>()

function validatorOf(schema: object): ValidateFunction {
  const known = compiled.get(schema) ?? ajv.compile(named(schema))
  compiled.set(schema, known)
  return known
}

/** The id of the command that a command line names. */
export function commandIn(words: readonly string[]): string | undefined {
  const plain = words.filter((word) => !word.startsWith('-')).map((word) => (word === 'logout' ? 'logoff' : word))
  return plain.flatMap((word, at) => [`${word}:${plain[at + 1] ?? ''}`, word]).find((id) => Object.hasOwn(COMMANDS, id))
}

/**
 * What a command printed with `--json` and is not described, as a sentence each.
 * `seen` gets the forms that it had.
 */
export function jsonFaults(words: readonly string[], out: string, seen?: (form: Printed) => void): readonly string[] {
  if (out.trim() === '') return []
  const id = commandIn(words)
  const whole = parseJson(out)
  const parts = whole === undefined ? out.trim().split('\n').map(parseJson) : [whole]
  return parts.flatMap((part) => faultsOfPart(part, id === undefined ? [] : (COMMANDS[id] ?? []), seen)).map((fault) => `devpi ${words.join(' ')}: ${fault}\n${out.slice(0, 2000)}`)
}

function faultsOfPart(part: unknown, forms: readonly Printed[], seen: ((form: Printed) => void) | undefined): string[] {
  if (!isObject(part)) return ['prints no JSON object']
  const { error, ...result } = part
  const faults = error === undefined ? [] : faultsBy(validatorOf(ERROR), error)
  if (error !== undefined && Object.keys(result).length === 0) return faults
  const form = forms.find(({ schema }) => validatorOf(schema)(result))
  if (form !== undefined) {
    seen?.(form)
    return faults
  }
  return [...faults, ...forms.flatMap(({ when, schema }) => faultsBy(validatorOf(schema), result).map((fault) => `${when === '' ? '' : `(${when}) `}${fault}`)), ...(forms.length === 0 ? ['is not described'] : [])]
}

function faultsBy(validate: ValidateFunction, value: unknown): string[] {
  return validate(value) ? [] : (validate.errors ?? []).map(({ instancePath, message, params }) => `${instancePath} ${message ?? ''} ${JSON.stringify(params)}`)
}
