import { Refusal } from '#log-format/api/refusal.js'
import type { ServerConfig } from './config.js'
import type { Logger } from './logger.js'
import type { RunningServer } from './server.js'

/** Writing a file is not one step: it is read when nothing has changed for so long. */
const SETTLE_MS = 100

/**
 * Reads the configuration again when its file changes, and on SIGHUP, and
 * points a replica at the primary that it names then. Other options wait for a
 * restart. A configuration that cannot be read is told of and changes nothing.
 */
export async function watchConfig(input: {
  readonly config: ServerConfig
  readonly reread: () => ServerConfig
  readonly server: Pick<RunningServer, 'followAt'>
  readonly logger: Logger
}): Promise<AsyncDisposable> {
  const { config, reread, server, logger } = input
  let { primaryUrl } = config
  const reload = async (): Promise<void> => {
    const wanted = reread().primaryUrl
    if (wanted === primaryUrl) return
    primaryUrl = wanted
    if (wanted === undefined) return
    await server.followAt(wanted)
    logger.info({ primary: wanted }, 'the configuration names another primary, which is followed from now on')
  }
  const onChange = (): void => {
    reload().catch((error: unknown) => {
      if (!(error instanceof Refusal)) throw error
      logger.warn({ reason: error.message }, 'the configuration was read again, and changes nothing')
    })
  }
  process.on('SIGHUP', onChange)
  const { configFile } = config
  const watcher = configFile === undefined ? undefined : await fileWatcher(configFile, onChange)
  return {
    [Symbol.asyncDispose]: async () => {
      process.off('SIGHUP', onChange)
      await watcher?.[Symbol.asyncDispose]()
    },
  }
}

async function fileWatcher(file: string, onChange: () => void): Promise<AsyncDisposable> {
  const { watch } = await import('chokidar')
  const watcher = watch(file, { ignoreInitial: true, awaitWriteFinish: { stabilityThreshold: SETTLE_MS, pollInterval: SETTLE_MS / 2 } })
  watcher.on('add', onChange).on('change', onChange)
  await new Promise<void>((resolve) => watcher.once('ready', resolve))
  return { [Symbol.asyncDispose]: () => watcher.close() }
}
