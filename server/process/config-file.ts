import { createRequire } from 'node:module'
import type * as Yaml from 'yaml'
import { findOption, unknownOption } from './options.js'
import { UsageError } from './usage-error.js'

const require = createRequire(import.meta.url)
/** Loaded when there is a file to read: most servers have none, and start the sooner. */
const yaml = (): typeof Yaml => require('yaml') as typeof Yaml

/** Options as written in the file; every scalar is text, converted by its option's type as on the command line. */
export type FileOptions = ReadonlyMap<string, readonly string[]>

/**
 * Reads the mapping under `devpi-server`; a file without it sets nothing. Refuses, naming `file`, what is not YAML,
 * any key that is not an option, and a list where one value is wanted.
 */
export function parseConfigFile(text: string, file: string): FileOptions {
  const document = yaml().parseDocument(text, { schema: 'failsafe', prettyErrors: false })
  const [error] = document.errors
  if (error !== undefined) throw new UsageError(`${file} is not valid YAML: ${error.message}`, 4)
  if (document.contents === null || isEmpty(document.contents)) return new Map()
  if (!yaml().isMap(document.contents)) throw new UsageError(`${file} must be a mapping with the key devpi-server`, 4)

  const section = document.contents.get('devpi-server', true)
  if (section === undefined || isEmpty(section)) return new Map()
  if (!yaml().isMap(section)) throw new UsageError(`devpi-server in ${file} must be a mapping of options`, 4)

  const options = new Map<string, readonly string[]>()
  for (const { key, value } of section.items) {
    const name = scalarText(key)
    if (name === undefined) throw new UsageError(`${file} has a key that is not text`, 4)
    options.set(name, valuesOf(name, value, file))
  }
  return options
}

function valuesOf(name: string, value: unknown, file: string): readonly string[] {
  const option = findOption(name)
  if (option === undefined) throw new UsageError(`${unknownOption(name, name)} (in ${file})`, 4)
  const texts = (yaml().isSeq(value) && option.repeatable === true ? value.items : [value]).map(scalarText)
  return texts.map((text) => {
    if (text === undefined) throw new UsageError(`${name} in ${file} wants one value`, 4)
    return text
  })
}

function scalarText(node: unknown): string | undefined {
  return yaml().isScalar(node) && typeof node.value === 'string' ? node.value : undefined
}

function isEmpty(node: unknown): boolean {
  return node === null || scalarText(node) === ''
}
