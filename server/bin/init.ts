import { PasswordHasher } from '#server/auth/passwords.js'
import { hashingCosts, readConfig } from '#server/process/config.js'
import { initialiseStorage, openStorage, reportInitialised } from '#server/process/initialise.js'
import { runProgram } from '#server/process/program.js'

/** `devpi-init`: makes a new server directory. Resolves to the exit code. */
export function main(argv: readonly string[]): Promise<number> {
  return runProgram('devpi-init', argv, readConfig, async (config, logger) => {
    await using storage = await openStorage(config, logger)
    await initialiseStorage(storage, config, new PasswordHasher(hashingCosts(config)), Date.now())
    reportInitialised(storage, config, logger)
    process.stdout.write(`initialised ${config.serverDir} with user root${config.rootIndex ? ' and index root/pypi' : ''}\n`)
    return 0
  })
}
