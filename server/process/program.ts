import { readFileSync } from 'node:fs'
import { Refusal } from '#log-format/api/refusal.js'
import { ChainError, FormatError } from '#log-format/errors.js'
import type { readConfig, ServerConfig } from './config.js'
import { type Logger, openLogger } from './logger.js'
import type { Program } from './options.js'
import { packageVersion } from './package-version.js'
import { UsageError } from './usage-error.js'

/**
 * What every program does around its work: reads its configuration, answers
 * `--help` and `--version`, and turns a refusal into one sentence. Resolves to
 * the exit code.
 */
export async function runProgram(
  program: Program,
  argv: readonly string[],
  read: typeof readConfig,
  work: (config: ServerConfig, logger: Logger, operands: readonly string[], reread: () => ServerConfig) => Promise<number>,
): Promise<number> {
  try {
    const sources = { program, argv, env: process.env, readFile: textOf }
    const invocation = read(sources)
    if (invocation.kind === 'help') return print(invocation.text)
    if (invocation.kind === 'version') return print(`${packageVersion()}\n`)
    const logger = openLogger({
      debug: invocation.config.debug,
      format: process.stderr.isTTY ? 'text' : 'json',
      write: (line) => process.stderr.write(line),
    })
    const reread = (): ServerConfig => {
      const again = read(sources)
      return again.kind === 'run' ? again.config : invocation.config
    }
    return await work(invocation.config, logger, invocation.operands, reread)
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof ChainError || error instanceof FormatError)) throw error
    process.stderr.write(`${program}: ${error.message}\n`)
    return error instanceof UsageError ? error.exitCode : 1
  }
}

function print(text: string): number {
  process.stdout.write(text)
  return 0
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw new Refusal('invalid', `the configuration file ${path} cannot be read`, { cause: error })
  }
}
