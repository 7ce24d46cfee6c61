import type { Failure } from './failure.js'
import { codeOf } from './system-faults.js'

/** Signals that end a command in order, and the exit codes shells know them by. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const
const INTERRUPTED = SIGNALS.SIGINT
/** What is left to do then, such as removing folders, may take so long. */
const LONGEST_END_MS = 5000

/** What ends a process from outside. */
export interface Endings {
  /** A signal came. Its reason is the exit code that tells which. */
  readonly interrupted: AbortSignal
  /** Nobody reads the output any more, which ends what only prints. */
  readonly unread: AbortSignal
  /** The exit code in the end: a result that could not be written is no success. */
  readonly exitCode: (code: number) => number
}

/** The first signal ends the work of this process in order, a second one at once. */
export function listenForEndings(): Endings {
  const interruption = new AbortController()
  for (const [signal, code] of Object.entries(SIGNALS)) {
    process.on(signal, () => {
      if (interruption.signal.aborted) process.exit(code)
      interruption.abort(code)
      if (signal === 'SIGHUP') process.on('exit', dieOfHangup)
      setTimeout(() => process.exit(code), LONGEST_END_MS).unref()
    })
  }
  return { interrupted: interruption.signal, ...listenToOutputs() }
}

/** Node 20 aborts, and leaves a core file, when it cannot set the terminal back that was closed: so the signal has its way in the end. */
function dieOfHangup(): void {
  process.removeAllListeners('SIGHUP')
  process.kill(process.pid, 'SIGHUP')
}

/** A terminal that was closed and a pipe without a reader are no fault; a full disk is one. */
function listenToOutputs(): Pick<Endings, 'unread' | 'exitCode'> {
  const unread = new AbortController()
  let failed = false
  process.stdout.removeAllListeners('error') // the framework's own throws all but one
  process.stdout.on('error', (error: Error) => {
    unread.abort()
    if (failed || isReaderGone(error)) return
    failed = true
    process.exitCode = 1 // in case this is told after the end
    process.stderr.write(`devpi: the output could not be written: ${error.message}\n`)
  })
  process.stderr.on('error', () => undefined) // there is nowhere left to tell it
  return { unread: unread.signal, exitCode: (code) => (failed && code === 0 ? 1 : code) }
}

function isReaderGone(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'EPIPE' || code === 'EIO'
}

/** The exit code of a failure: of an interruption, that of the signal that made it. */
export function exitCodeOf({ exitCode }: Failure, interrupted: AbortSignal): number {
  const reason: unknown = interrupted.reason
  return exitCode === INTERRUPTED && typeof reason === 'number' ? reason : exitCode
}
