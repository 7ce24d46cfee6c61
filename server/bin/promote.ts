import { readConfig } from '#server/process/config.js'
import { openStorage, requireServerDir } from '#server/process/initialise.js'
import { promotedFacts } from '#server/process/node-role.js'
import { runProgram } from '#server/process/program.js'
import { askToPromote } from '#server/process/promote-request.js'
import { PRIMARY_URL_FACT } from '#server/process/role.js'
import { isInUse } from '#server/storage/database.js'
import { PRIMARY_UUID_FACT } from '#server/storage/rows.js'
import type { Storage } from '#server/storage/storage.js'

/**
 * `devpi-server promote`: makes a primary of a replica. A server that runs on
 * the server directory does it without a restart; otherwise it is done here.
 * Resolves to the exit code.
 */
export function main(argv: readonly string[]): Promise<number> {
  return runProgram('devpi-server promote', argv, readConfig, async (config, logger) => {
    requireServerDir(config)
    let storage: Storage
    try {
      storage = await openStorage(config, logger)
    } catch (error) {
      if (!isInUse(error)) throw error
      const { isDone, sentence } = await askToPromote(config.serverDir)
      ;(isDone ? process.stdout : process.stderr).write(isDone ? `${sentence}\n` : `devpi-server promote: ${sentence}\n`)
      return isDone ? 0 : 1
    }
    await using opened = storage
    const origin = { time: Date.now(), actor: '+system', via: 'system', request: 'promote' } as const
    const { serial, epoch } = await opened.promote(origin, {
      former: opened.fact(PRIMARY_UUID_FACT) ?? '',
      facts: promotedFacts(opened.fact(PRIMARY_URL_FACT)),
    })
    process.stdout.write(`${config.serverDir} is that of a primary from serial ${serial} on, in epoch ${epoch}; start devpi-server on it, without --role replica and --primary-url\n`)
    return 0
  })
}
