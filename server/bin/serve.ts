import { readConfig } from '#server/process/config.js'
import { watchConfig } from '#server/process/config-watch.js'
import { runProgram } from '#server/process/program.js'
import { startServer } from '#server/process/server.js'
import { untilStopped } from '#server/process/lifecycle.js'

/** `devpi-server`: serves until it is told to stop. Resolves to the exit code. */
export function main(argv: readonly string[]): Promise<number> {
  return runProgram('devpi-server', argv, readConfig, async (config, logger, _operands, reread) => {
    const stopped = untilStopped()
    const server = await startServer(config, { logger })
    process.stdout.write(
      `devpi-server ready: ${server.url} role=${server.role} serverdir=${config.serverDir} serial=${server.storage.head.serial}\n`,
    )
    const watch = await watchConfig({ config, reread, server, logger })
    logger.info({ signal: await stopped }, 'stopping')
    await watch[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
    return 0
  })
}
