import type { FileOptions } from './config-file.js'
import { findOption, type Program, unknownOption } from './options.js'
import { UsageError } from './usage-error.js'

export interface CommandLine {
  readonly help: boolean
  readonly version: boolean
  readonly given: FileOptions
  readonly operands: readonly string[]
}

/** Throws `UsageError` for what the program knows nothing of. */
export function parseCommandLine(argv: readonly string[], program: Program): CommandLine {
  const given = new Map<string, string[]>()
  const operands: string[] = []
  const words = argv.map((word) => (word === '-c' ? '--configfile' : word === '-h' ? '--help' : word))
  if (words.includes('--help')) return { help: true, version: false, given, operands }
  if (words.includes('--version')) return { help: false, version: true, given, operands }
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (!word.startsWith('-')) {
      operands.push(word)
      continue
    }
    const { name, inline } = splitWord(word)
    const option = findOption(name)
    if (option === undefined) throw new UsageError(`${unknownOption(name, word.split('=')[0] ?? word)}; see ${program} --help`)
    if (!option.programs.includes(program)) throw new UsageError(`--${name} is not an option of ${program}`)
    if (option.argument === undefined && inline !== undefined) throw new UsageError(`--${name} takes no value`)
    const value = option.argument === undefined ? 'true' : (inline ?? words.shift())
    if (value === undefined) throw new UsageError(`--${name} wants a value: ${option.argument ?? ''}`)
    given.set(name, option.repeatable === true ? [...(given.get(name) ?? []), value] : [value])
  }
  const [surplus] = program === 'devpi-passwd' ? operands.slice(1) : operands
  if (surplus !== undefined) throw new UsageError(`${program} takes no argument ${surplus}; see ${program} --help`)
  return { help: false, version: false, given, operands }
}

function splitWord(word: string): { readonly name: string; readonly inline: string | undefined } {
  const at = word.indexOf('=')
  return { name: (at < 0 ? word : word.slice(0, at)).replace(/^--/, ''), inline: at < 0 ? undefined : word.slice(at + 1) }
}
