import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Config } from '@oclif/core/config'
import { Help } from '@oclif/core/help'
import type * as Interfaces from '@oclif/core/interfaces'
import { type CommandShape, type FlagShape, type Invocation, readArguments } from './arguments.js'
import { DevpiCommand, terminalOf } from './base-command.js'
import { listenForEndings } from './endings.js'
import { PACKAGE_ROOT } from './package-root.js'
import { reportFailure } from './report.js'
import { ofThisProcess, provideSurroundings, type Surroundings } from './surroundings.js'
import { type Terminal, wantsColour } from './terminal.js'

type CommandClass = (new (argv: string[], config: Interfaces.Config) => DevpiCommand) & { id: string }

const COMPILED = ['dist', 'cli']

/** Runs one command line as all that this process is for. Resolves to its exit code. */
export async function runProcess(words: readonly string[]): Promise<number> {
  const endings = listenForEndings()
  return endings.exitCode(await main(words, ofThisProcess(endings)))
}

/** Runs one command line. Resolves to the exit code; everything there is to say was said. */
export async function main(words: readonly string[], surroundings: Surroundings): Promise<number> {
  const config = await Config.load({ root: PACKAGE_ROOT })
  provideSurroundings(config, surroundings)
  const usage = usageOf(config, words)
  let terminal = terminalOf(surroundings, { json: words.includes('--json'), debug: words.includes('--debug'), colour: undefined })
  try {
    const invocation = readArguments(words, commandShapes(config), genericFlags(config))
    if (invocation.kind === 'help') return await showHelp(config, invocation, surroundings)
    const { id, argv } = invocation.kind === 'version' ? { id: 'version', argv: ['--'] } : invocation
    terminal = terminalAsAsked(surroundings, argv)
    const Command = await loadCommand(config, id)
    await new Command([...argv], config).start()
    return 0
  } catch (error) {
    return reportFailure(error, terminal, surroundings, usage)
  }
}

/** Loads the one command that is run. The manifest says where it lies in the compiled client; here that lies beside this file. */
async function loadCommand(config: Interfaces.Config, id: string): Promise<CommandClass> {
  const path = config.commands.find((command) => command.id === id)?.relativePath?.slice(COMPILED.length) ?? []
  const module: unknown = await import(pathToFileURL(join(import.meta.dirname, ...path)).href)
  const found: unknown = typeof module === 'object' && module !== null && 'default' in module ? module.default : undefined
  if (!isCommand(found)) throw new Error(`${path.join('/')} holds no command`)
  found.id = id
  return found
}

function isCommand(value: unknown): value is CommandClass {
  return typeof value === 'function' && value.prototype instanceof DevpiCommand
}

function terminalAsAsked(surroundings: Surroundings, argv: readonly string[]): Terminal {
  const options = argv.slice(0, argv.indexOf('--'))
  const json = options.includes('--json') || (surroundings.env['DEVPI_JSON'] ?? '') !== ''
  const colour = options.includes('--color') ? true : options.includes('--no-color') ? false : undefined
  return terminalOf(surroundings, { json, debug: options.includes('--debug'), colour })
}

async function showHelp(config: Interfaces.Config, { id }: Extract<Invocation, { kind: 'help' }>, surroundings: Surroundings): Promise<number> {
  const help = new PrintedHelp(config, surroundings)
  await help.showHelp(id === undefined ? [] : [id])
  return 0
}

/** The commands of the reference client in its order; those of our own follow in that of the alphabet. */
const ORDER = ['use', 'getjson', 'patchjson', 'list', 'remove', 'user', 'passwd', 'login', 'logoff', 'logout', 'index', 'upload', 'test', 'push', 'install', 'refresh']

class PrintedHelp extends Help {
  readonly #surroundings: Surroundings

  constructor(config: Interfaces.Config, surroundings: Surroundings) {
    super(config, { stripAnsi: !wantsColour(surroundings.env, surroundings.terminals.out) })
    this.#surroundings = surroundings
  }

  protected override get sortedCommands(): Interfaces.Config['commands'] {
    const rank = (id: string): number => (ORDER.includes(id) ? ORDER.indexOf(id) : ORDER.length)
    return super.sortedCommands.sort((a, b) => rank(a.id) - rank(b.id))
  }

  /** Lines of a description end where the source does; on paper they end where the terminal does. */
  protected override formatCommand(command: Interfaces.Config['commands'][number]): string {
    const { description } = command
    return super.formatCommand({ ...command, ...(description !== undefined && { description: description.replace(/(\S)\n(?=\S)/g, '$1 ') }) })
  }

  protected override log(...lines: string[]): void {
    this.#surroundings.writeOut(`${lines.join(' ')}\n`)
  }
}

function commandShapes(config: Interfaces.Config): CommandShape[] {
  return config.commands.map(({ id, aliases, flags }) => ({
    id,
    aliases,
    flags: Object.values(flags).map(({ name, char, type, aliases: others }) => ({ name, char, type, aliases: others })),
  }))
}

/** Those that every command has. */
function genericFlags(config: Interfaces.Config): FlagShape[] {
  const [first, ...others] = commandShapes(config)
  return (first?.flags ?? []).filter(({ name }) => others.every((command) => command.flags.some((flag) => flag.name === name)))
}

/** What stands before a complaint about the command line. */
function usageOf(config: Interfaces.Config, words: readonly string[]): string {
  const command = config.commands.find(({ id, aliases }) => words.some((word) => word === id || aliases.includes(word)))
  return command === undefined ? 'usage: devpi COMMAND [options]\nsee `devpi -h` for all commands' : `usage: devpi ${command.id} [options]\nsee \`devpi ${command.id} -h\` for all options`
}
