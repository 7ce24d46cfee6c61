import type { JsonValue, ToxEnvironment, ToxReport } from '#log-format/values.js'

/** More environments than anybody has; a report with more says nothing in short. */
const MAX_ENVIRONMENTS = 200
/** Names that can be shown in one line: no control characters, no halves of characters. */
const NAME = /^[^\p{C}]{1,200}$/u

/**
 * What a report of `tox --result-json` says in short; undefined for a document
 * of another form. An environment failed when a command of its set-up or tests
 * did, and passed when there were tests and none failed.
 */
export function readToxReport(document: JsonValue): ToxReport | undefined {
  if (!isObject(document)) return undefined
  const { host, platform, testenvs } = document
  if (!isName(host) || !isName(platform) || testenvs === undefined || !isObject(testenvs)) return undefined
  const found = Object.entries(testenvs)
  if (found.length > MAX_ENVIRONMENTS || !found.every(([name]) => isName(name))) return undefined
  return { host, platform, environments: found.map(([name, value]) => environmentOf(name, isObject(value) ? value : {})) }
}

function environmentOf(name: string, value: JsonObject): ToxEnvironment {
  const setUp = returnCodes(value['setup'])
  const tests = returnCodes(value['test'])
  const failed = [...setUp, ...tests].filter((code) => code !== 0).length
  const python = value['python'] !== undefined && isObject(value['python']) ? value['python']['version'] : undefined
  const version = typeof python === 'string' ? /^[\w.+-]{1,50}/.exec(python)?.[0] : undefined
  return {
    name,
    state: failed > 0 ? 'failed' : tests.length > 0 ? 'passed' : 'unknown',
    commands: setUp.length + tests.length,
    failed,
    ...(version !== undefined && { python: version }),
  }
}

/** Of the commands that say one; some write it as text. */
function returnCodes(commands: JsonValue | undefined): number[] {
  if (!isArray(commands)) return []
  return commands.flatMap((command) => {
    const code = isObject(command) ? command['retcode'] : undefined
    return typeof code === 'number' || (typeof code === 'string' && /^-?\d{1,9}$/.test(code)) ? [Number(code)] : []
  })
}

type JsonObject = { readonly [name: string]: JsonValue }

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !isArray(value)
}

function isArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value)
}

function isName(value: JsonValue | undefined): value is string {
  return typeof value === 'string' && NAME.test(value)
}
