import { usageError } from './failure.js'

/** A flag as the manifest describes it. */
export interface FlagShape {
  readonly name: string
  readonly char?: string | undefined
  readonly type: 'boolean' | 'option'
  readonly aliases?: readonly string[] | undefined
}

export interface CommandShape {
  /** Words of a command in a topic are joined by a colon: `token:create`. */
  readonly id: string
  readonly aliases: readonly string[]
  readonly flags: readonly FlagShape[]
}

/** What was typed, in the one order the parser behind this takes. */
export type Invocation =
  | { readonly kind: 'run'; readonly id: string; readonly argv: readonly string[] }
  | { readonly kind: 'help'; readonly id: string | undefined }
  | { readonly kind: 'version' }

/**
 * Leads a value that is empty or looks like an option, so that the parser
 * takes it for a value; `unmarked` takes it off again. A private character, which nobody types.
 */
const MARK = '\uE0FF'

export function unmarked(value: string): string {
  return value.startsWith(MARK) ? value.slice(MARK.length) : value
}

/**
 * Reads a command line as users of the reference client type it: options
 * before or behind the command and between its arguments, short ones bundled,
 * long ones by any unique prefix, values glued on or not, and of a repeated
 * one the last. Fails with `USAGE` for what cannot be meant.
 */
export function readArguments(words: readonly string[], commands: readonly CommandShape[], generic: readonly FlagShape[]): Invocation {
  return new ArgumentReader(words, commands, generic).read()
}

class ArgumentReader {
  readonly #words: readonly string[]
  readonly #commands: readonly CommandShape[]
  readonly #generic: readonly FlagShape[]
  readonly #flags = new Map<string, string | true>()
  readonly #positionals: string[] = []
  #at = 0
  #topic: string | undefined
  #command: CommandShape | undefined
  #help = false

  constructor(words: readonly string[], commands: readonly CommandShape[], generic: readonly FlagShape[]) {
    this.#words = words
    this.#commands = commands
    this.#generic = generic
  }

  read(): Invocation {
    let onlyPositionals = false
    for (let word = this.#next(); word !== undefined; word = this.#next()) {
      if (onlyPositionals || word === '-' || !word.startsWith('-')) this.#positional(word)
      else if (word === '--') onlyPositionals = true
      else if (word === '--version') return { kind: 'version' }
      else if (word.startsWith('--')) this.#long(word)
      else this.#bundle(word)
    }
    return this.#invocation()
  }

  #next(): string | undefined {
    const word = this.#words[this.#at]
    this.#at += 1
    return word
  }

  #invocation(): Invocation {
    const id = this.#command?.id ?? this.#topic
    if (this.#help || this.#command === undefined) return { kind: 'help', id }
    const argv = [...this.#flags].map(([name, value]) => (value === true ? `--${name}` : `--${name}=${marked(value)}`))
    return { kind: 'run', id: this.#command.id, argv: [...argv, '--', ...this.#positionals] }
  }

  #positional(word: string): void {
    if (this.#command !== undefined) {
      this.#positionals.push(word)
      return
    }
    if (word === 'help' && this.#topic === undefined && !this.#help) {
      this.#help = true
      return
    }
    const id = this.#topic === undefined ? word : `${this.#topic}:${word}`
    this.#command = this.#commands.find((command) => command.id === id || command.aliases.includes(id))
    if (this.#command !== undefined) return
    if (this.#topic === undefined && this.#commands.some((command) => command.id.startsWith(`${word}:`))) this.#topic = word
    else throw usageError(this.#unknownCommand(id))
  }

  #unknownCommand(id: string): string {
    const spoken = id.replace(':', ' ')
    const names = this.#commands.flatMap((command) => [command.id, ...command.aliases])
    const near = names.find((name) => name.startsWith(id)) ?? names.find((name) => isNear(name, id))
    return `there is no command '${spoken}'${near === undefined ? '' : `, did you mean '${near.replace(':', ' ')}'?`}`
  }

  /** Before the command is known, only options that every command has. */
  get #known(): readonly FlagShape[] {
    return this.#command?.flags ?? this.#generic
  }

  #long(word: string): void {
    const equals = word.indexOf('=')
    const typed = equals === -1 ? word.slice(2) : word.slice(2, equals)
    if (typed === 'help' && equals === -1) {
      this.#help = true
      return
    }
    const flag = this.#find(typed)
    if (equals === -1) this.#set(flag, flag.type === 'boolean' ? true : this.#value(`--${flag.name}`))
    else if (flag.type === 'boolean') throw usageError(`argument --${flag.name} takes no value`)
    else this.#set(flag, word.slice(equals + 1))
  }

  #find(typed: string): FlagShape {
    const names = (flag: FlagShape): readonly string[] => [flag.name, ...(flag.aliases ?? [])]
    const exact = this.#known.find((flag) => names(flag).includes(typed))
    if (exact !== undefined) return exact
    const matching = this.#known.filter((flag) => names(flag).some((name) => name.startsWith(typed)))
    const [only] = matching
    if (matching.length > 1) {
      throw usageError(`ambiguous option: --${typed} could match ${matching.map((flag) => `--${flag.name}`).sort().join(', ')}`)
    }
    if (only === undefined) throw usageError(`unrecognized arguments: --${typed}`)
    return only
  }

  #bundle(word: string): void {
    for (let at = 1; at < word.length; at++) {
      const char = word.charAt(at)
      if (char === 'h') {
        this.#help = true
        continue
      }
      const flag = this.#known.find((known) => known.char === char)
      if (flag === undefined) throw usageError(`unrecognized arguments: ${at === 1 ? word : `-${char}`}`)
      if (flag.type === 'boolean') {
        this.#set(flag, true)
        continue
      }
      const rest = word.slice(at + 1)
      this.#set(flag, rest === '' ? this.#value(`-${char}`) : rest.replace(/^=/, ''))
      return
    }
  }

  /** The next word, unless it is an option itself. */
  #value(option: string): string {
    const word = this.#next()
    if (word === undefined || word === '--' || this.#isOption(word)) throw usageError(`argument ${option}: expected one argument`)
    return word
  }

  #isOption(word: string): boolean {
    if (!/^-\S+$/.test(word)) return false
    if (!word.startsWith('--')) return word === '-h' || this.#known.some((flag) => flag.char === word.charAt(1))
    const typed = /^--([^=]*)/.exec(word)?.[1] ?? ''
    return typed === 'help' || typed === 'version' || this.#known.some((flag) => flag.name === typed)
  }

  #set(flag: FlagShape, value: string | true): void {
    this.#flags.delete(flag.name)
    this.#flags.set(flag.name, value)
  }
}

function marked(value: string): string {
  return value === '' || value.startsWith('-') || value.startsWith(MARK) ? MARK + value : value
}

/** One letter more, less, other, or two swapped. */
function isNear(name: string, typed: string): boolean {
  if (Math.abs(name.length - typed.length) > 1) return false
  let start = 0
  while (start < name.length && name[start] === typed[start]) start++
  let end = 0
  while (end < Math.min(name.length, typed.length) - start && name.at(-1 - end) === typed.at(-1 - end)) end++
  const left = name.slice(start, name.length - end)
  const right = typed.slice(start, typed.length - end)
  return left.length + right.length <= 2 || (left.length === 2 && left === [...right].reverse().join(''))
}
