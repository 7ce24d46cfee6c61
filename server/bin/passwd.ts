import { text } from 'node:stream/consumers'
import { Refusal } from '#log-format/api/refusal.js'
import { PasswordHasher } from '#server/auth/passwords.js'
import { ROOT_USER } from '#server/auth/caller.js'
import { createUserSecret } from '#server/auth/user-secret.js'
import { modifyUser } from '#server/commands/users.js'
import { hashingCosts, readConfig } from '#server/process/config.js'
import { openStorage, requireServerDir } from '#server/process/initialise.js'
import { readPassword } from '#server/process/password-prompt.js'
import { runProgram } from '#server/process/program.js'

/**
 * `devpi-passwd USER`: sets a password in a server directory that no server
 * uses. Asks twice on a terminal, else takes the first line of its input.
 * Resolves to the exit code.
 */
export function main(argv: readonly string[]): Promise<number> {
  return runProgram('devpi-passwd', argv, readConfig, async (config, logger, operands) => {
    const [user = ROOT_USER] = operands
    requireServerDir(config)
    const password = process.stdin.isTTY
      ? await readPassword(user, process.stdin, process.stderr)
      : ((await text(process.stdin)).split(/\r?\n/, 1)[0] ?? '')
    if (password === '') throw new Refusal('invalid', 'the password is empty; nothing was changed')

    await using storage = await openStorage(config, logger)
    const verifier = await createUserSecret(new PasswordHasher(hashingCosts(config)), password)
    const origin = { time: Date.now(), actor: '+system', via: 'system', request: 'devpi-passwd' } as const
    const caller = { user: ROOT_USER, via: 'system' } as const
    await storage.transact(origin, (tx) => modifyUser(tx, { caller, user, fields: {}, verifier }))
    process.stdout.write(`the password of ${user} is changed; its login tokens are no longer valid\n`)
    return 0
  })
}
