import { type ChildProcess, spawn } from 'node:child_process'
import { relative } from 'node:path'
import type { Context } from './base-command.js'
import { Failure, requireGoingOn } from './failure.js'
import { codeOf } from './system-faults.js'

export interface ChildOptions {
  readonly cwd: string
  /** On top of the environment; an undefined value takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** What it prints is shown as it comes, or kept for the result. */
  readonly output: 'shown' | 'kept'
  /** Not announced by a line. */
  readonly silent?: boolean
}

export interface Ended {
  readonly code: number
  /** The end of both outputs, if they were kept. */
  readonly output: string
  /** All of its standard output, if it was kept. */
  readonly result: string
}

const MOST_KEPT_CHARACTERS = 1 << 22
/** A terminal tells its Ctrl-C to all programs in it. One that is told again meanwhile cannot tidy up, so it gets this time first. */
const TOLD_BY_TERMINAL_MS = 700
/** Between asking a program to end and ending it. */
const GRACE_MS = 1000

/**
 * Runs a program to its end, announced by a line that names it and the
 * variables set for it, without their secrets. Ends it when the user
 * interrupts, and starts none after that. Fails with `CONFIG` when it cannot be started.
 */
export async function runChild(context: Context, command: readonly string[], options: ChildOptions): Promise<Ended> {
  const { surroundings, terminal, env } = context
  const [program = '', ...args] = command
  requireGoingOn(surroundings.interrupted)
  if (options.silent !== true) terminal.note(announcement(command, options, context.cwd))
  const isTerminal = options.output === 'shown' && surroundings.terminals.out && surroundings.terminals.err && !terminal.json
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: Object.fromEntries(Object.entries({ ...env, ...options.env }).filter(([, value]) => value !== undefined)),
    stdio: isTerminal ? ['ignore', 'inherit', 'inherit'] : ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const results: string[] = []
  const take = (text: string, write: (text: string) => void): void => {
    if (options.output === 'shown') write(text)
    else output = (output + text).slice(-MOST_KEPT_CHARACTERS)
  }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    if (options.output === 'kept') results.push(text)
    take(text, terminal.json ? surroundings.writeErr : surroundings.writeOut)
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    take(text, surroundings.writeErr)
  })

  // A shell waits for what it started, and that may hold the pipes for long.
  const interrupt = (): void => {
    child.stdout?.destroy()
    child.stderr?.destroy()
    const { input, out, err } = surroundings.terminals
    if (!input && !out && !err) askToEnd(child)
    else setTimeout(() => askToEnd(child), TOLD_BY_TERMINAL_MS).unref()
  }
  surroundings.interrupted.addEventListener('abort', interrupt)
  const endAtOnce = (): void => void child.kill('SIGKILL')
  process.prependListener('exit', endAtOnce) // before its folders are removed
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (exit, signal) => resolve(exit ?? (signal === 'SIGINT' ? 130 : 1)))
    })
    requireGoingOn(surroundings.interrupted)
    return { code, output, result: results.join('') }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') throw new Failure('CONFIG', `command not found: ${program}`, { cause: error })
    throw error
  } finally {
    surroundings.interrupted.removeEventListener('abort', interrupt)
    process.off('exit', endAtOnce)
  }
}

function askToEnd(child: ChildProcess): void {
  child.kill('SIGINT')
  setTimeout(() => child.kill('SIGKILL'), GRACE_MS).unref()
}

/** `-->  <folder>$ program args  [NAME=value,…]`. */
function announcement(command: readonly string[], { cwd, env = {} }: ChildOptions, here: string): string {
  const shown = command.map((word) => (/^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ')
  const set = Object.entries(env).filter(([, value]) => value !== undefined).sort(([a], [b]) => (a < b ? -1 : 1))
  const variables = set.map(([name, value]) => `${name}=${masked(value ?? '')}`).join(',')
  return `-->  ${relative(here, cwd) === '' ? here : cwd}$ ${shown}${variables === '' ? '' : `  [${variables}]`}`
}

function masked(value: string): string {
  return value.replace(/(\w+:\/\/)[^/?#\s]*@/g, '$1****:****@')
}
