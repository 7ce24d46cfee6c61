import { Command } from '@oclif/core/command'
import { Client } from './client.js'
import { Failure, usageError } from './failure.js'
import { GENERIC_FLAGS } from './flags.js'
import { Netrc } from './netrc.js'
import { Prompt } from './prompt.js'
import { Session } from './session.js'
import { type Surroundings, surroundingsOf } from './surroundings.js'
import { Terminal, wantsColour } from './terminal.js'

/** Everything a command works with. */
export interface Context {
  readonly surroundings: Surroundings
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  readonly terminal: Terminal
  readonly prompt: Prompt
  readonly session: Session
  readonly netrc: Netrc
  readonly client: Client
  readonly verbose: boolean
  /** Whether to draw bars. */
  readonly progress: boolean
}

export interface GenericFlags {
  readonly debug: boolean
  readonly yes: boolean
  readonly verbose: boolean
  readonly clientdir?: string | undefined
  readonly timeout?: string | undefined
  readonly color: boolean
  readonly 'no-color': boolean
  readonly 'no-progress': boolean
  readonly 'no-netrc': boolean
}

const DEFAULT_TIMEOUT_S = 60

/**
 * What all commands share. `run` of a command gives the object that `--json`
 * prints, and throws a `Failure` for every end without success.
 */
export abstract class DevpiCommand extends Command {
  static override baseFlags = GENERIC_FLAGS
  static override enableJsonFlag = true

  abstract override run(): Promise<object | undefined>

  /** Runs it with the configuration it was made with; the framework's own `run` would load that anew. */
  start(): Promise<object | undefined> {
    return this._run()
  }

  /** Opens what the command works with, from its generic flags. */
  protected async open(flags: GenericFlags): Promise<Context> {
    const surroundings = surroundingsOf(this.config)
    const { env, cwd, terminals } = surroundings
    const json = this.jsonEnabled()
    const terminal = terminalOf(surroundings, { json, debug: flags.debug, colour: flags.color ? true : flags['no-color'] ? false : undefined })
    const session = await Session.open({ clientDir: flags.clientdir, env, cwd })
    const netrc = new Netrc({ env, cwd, terminal, isOff: flags['no-netrc'] })
    const timeoutMs = timeoutOf(flags.timeout ?? env['DEVPI_TIMEOUT'])
    return {
      surroundings,
      env,
      cwd,
      terminal,
      session,
      netrc,
      prompt: new Prompt(surroundings, terminal, flags.yes),
      client: new Client({ session, netrc, terminal, env, version: this.config.version, timeoutMs, signal: surroundings.interrupted }),
      verbose: flags.verbose,
      progress: terminals.err && !json && !flags['no-progress'] && !isSet(env['DEVPI_NO_PROGRESS']) && !isSet(env['CI']),
    }
  }

  override jsonEnabled(): boolean {
    return super.jsonEnabled() || isSet(surroundingsOf(this.config).env['DEVPI_JSON'])
  }

  override logJson(json: unknown): void {
    surroundingsOf(this.config).writeOut(`${JSON.stringify(json, null, 2)}\n`)
  }

  /** Everything that goes wrong is told in one place, `report.ts`. */
  protected override async catch(error: Error): Promise<void> {
    throw error
  }
}

export function terminalOf(
  { env, terminals, writeOut, writeErr }: Surroundings,
  { json, debug, colour }: { readonly json: boolean; readonly debug: boolean; readonly colour: boolean | undefined },
): Terminal {
  return new Terminal({
    writeOut,
    writeErr,
    json,
    debug,
    colour: { out: wantsColour(env, terminals.out, colour), err: wantsColour(env, terminals.err, colour) },
  })
}

/** `KEY=VALUE` arguments and the rest, as the reference tells them apart. */
export function splitKeyValues(words: readonly string[]): { readonly names: readonly string[]; readonly keyValues: readonly string[] } {
  return { names: words.filter((word) => !word.includes('=')), keyValues: words.filter((word) => word.includes('=')) }
}

/** Pairs out of `KEY=VALUE`, split at the first `=`. */
export function pairsOf(keyValues: readonly string[]): [key: string, value: string][] {
  return keyValues.map((text) => {
    const at = text.indexOf('=')
    if (at <= 0) throw usageError(`arguments must be format NAME=VALUE: ['${text}']`)
    return [text.slice(0, at), text.slice(at + 1)]
  })
}

function timeoutOf(text: string | undefined): number {
  if (text === undefined || text === '') return DEFAULT_TIMEOUT_S * 1000
  const seconds = Number(text)
  if (Number.isFinite(seconds) && seconds > 0 && seconds <= 86_400) return seconds * 1000
  throw new Failure('USAGE', `argument --timeout: '${text}' is no number of seconds`)
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== '0' && value !== 'false'
}
