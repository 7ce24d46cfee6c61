import { CLIError } from '@oclif/core/errors'
import { exitCodeOf } from './endings.js'
import { Failure, interruption, usageError } from './failure.js'
import type { Surroundings } from './surroundings.js'
import { systemFailure } from './system-faults.js'
import type { Terminal } from './terminal.js'

/**
 * Tells how a command ended that did not succeed, and gives its exit code.
 * `usage` is printed before a reason that lies in what was typed.
 */
export function reportFailure(error: unknown, terminal: Terminal, surroundings: Surroundings, usage: string): number {
  const failure = failureOf(error, surroundings)
  writeOverCtrlC(surroundings)
  if (terminal.json) terminal.document({ ...failure.result, error: failure.toJson() })
  if (failure.code === 'USAGE') {
    terminal.line(usage)
    terminal.note(`devpi: error: ${failure.message}`)
  } else if (failure.message !== '' && !terminal.json) {
    terminal.error(failure.message)
  }
  if (failure.hint !== undefined && !terminal.json) terminal.note(failure.hint)
  if (terminal.debugging && failure.code !== 'USAGE') terminal.note(stackOf(failure.cause ?? failure))
  return exitCodeOf(failure, surroundings.interrupted)
}

/** The terminal has shown ^C at the foot: the next line is written over it. */
export function writeOverCtrlC({ interrupted, terminals, writeErr }: Surroundings): void {
  if (interrupted.aborted && terminals.err) writeErr('\r\u001b[K')
}

function failureOf(error: unknown, { interrupted }: Surroundings): Failure {
  if (error instanceof Failure) return error
  if (interrupted.aborted) return interruption(error)
  if (error instanceof CLIError) return usageError(error.message.replace(/\nSee more help with --help$/, ''))
  const refused = systemFailure(error)
  if (refused !== undefined) return refused
  const message = error instanceof Error ? error.message : String(error)
  return new Failure('CONFIG', `unexpected fault: ${message}`, { cause: error, hint: 'run it again with --debug to see where' })
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
