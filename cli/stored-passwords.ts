import { execFile } from 'node:child_process'
import type { Context } from './base-command.js'
import { maskUrl } from './urls.js'
import { findProgram } from './venv.js'

/** A keyring may ask its user to unlock it first. */
const LONGEST_ANSWER_MS = 120_000

/**
 * The password of a user at a server, out of the keyring of the system, where
 * the program `keyring` is installed, else out of `.netrc`; undefined for none.
 * The service is the address, as Python's plugins for keyrings have it.
 */
export async function storedPassword(context: Context, url: string, user: string): Promise<string | undefined> {
  return (await fromKeyring(context, url, user)) ?? context.netrc.loginFor(url, user)?.password
}

/** What goes wrong in there is no reason to fail: somebody can still be asked. */
function fromKeyring({ env, cwd, terminal, surroundings }: Context, url: string, user: string): Promise<string | undefined> {
  const program = findProgram('keyring', undefined, env)
  if (program === undefined) return Promise.resolve(undefined)
  terminal.debug(`asking ${program} for '${user}' at ${maskUrl(url)}`)
  return new Promise((resolve, reject) => {
    const options = { cwd, env, timeout: LONGEST_ANSWER_MS, signal: surroundings.interrupted, encoding: 'utf8' } as const
    const child = execFile(program, ['--', 'get', url, user], options, (error, stdout) => {
      const password = stdout.replace(/\r?\n$/, '')
      if (surroundings.interrupted.aborted) reject(new Error('interrupted'))
      else resolve(error !== null || password === '' ? undefined : password)
    })
    child.stdin?.end()
  })
}
