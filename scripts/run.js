// Runs a child process in the foreground, as a shell would.
import { spawn } from 'node:child_process'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']

/**
 * Resolves to the exit code, 1 for a child that a signal ended. Signals sent to this
 * process go on to the child, and this process lives on to clean up after it.
 */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', ...options })
    const forward = (signal) => child.kill(signal)
    for (const signal of SIGNALS) process.on(signal, forward)
    const settle = () => {
      for (const signal of SIGNALS) process.off(signal, forward)
    }
    child.once('error', (error) => {
      settle()
      reject(error)
    })
    child.once('exit', (code) => {
      settle()
      resolve(code ?? 1)
    })
  })
}
