import { existsSync } from 'node:fs'
import { nodeTokens } from '#server/auth/node-token.js'
import { loadSecret } from '#server/auth/secret-file.js'
import { type ServerConfig, readConfig } from '#server/process/config.js'
import { openStorage, requireServerDir, secretPath } from '#server/process/initialise.js'
import { lacksSecrets, promotedFacts, type PromoteOptions } from '#server/process/node-role.js'
import { lostSecretsSentence } from '#server/process/primary.js'
import { runProgram } from '#server/process/program.js'
import { askToPromote } from '#server/process/promote-request.js'
import { PRIMARY_URL_FACT } from '#server/process/role.js'
import { missingSecrets, missingSentence } from '#server/replication/missing-secrets.js'
import { PrimaryConnection } from '#server/replication/primary-request.js'
import { fetchSecrets, takeSecrets } from '#server/replication/vault-follower.js'
import { isInUse } from '#server/storage/database.js'
import { PRIMARY_UUID_FACT } from '#server/storage/rows.js'
import type { Storage } from '#server/storage/storage.js'
import type { SecretsSince } from '#server/storage/vault-changes.js'

const SECRETS_TIMEOUT_MS = 5000

/**
 * `devpi-server promote`: makes a primary of a replica. A server that runs on
 * the server directory does it without a restart; otherwise it is done here.
 * Resolves to the exit code.
 */
export function main(argv: readonly string[]): Promise<number> {
  return runProgram('devpi-server promote', argv, readConfig, async (config, logger) => {
    requireServerDir(config)
    const options: PromoteOptions = { lostSecrets: config.acceptLostSecrets ? 'accept' : 'refuse' }
    let storage: Storage
    try {
      storage = await openStorage(config, logger)
    } catch (error) {
      if (!isInUse(error)) throw error
      const { isDone, sentence } = await askToPromote(config.serverDir, options)
      ;(isDone ? process.stdout : process.stderr).write(isDone ? `${sentence}\n` : `devpi-server promote: ${sentence}\n`)
      return isDone ? 0 : 1
    }
    await using opened = storage
    const lost = opened.isReplica ? await lostSecrets(opened, config, options) : undefined
    const origin = { time: Date.now(), actor: '+system', via: 'system', request: 'promote' } as const
    const { serial, epoch } = await opened.promote(origin, {
      former: opened.fact(PRIMARY_UUID_FACT) ?? '',
      facts: promotedFacts(opened.fact(PRIMARY_URL_FACT)),
    })
    process.stdout.write(`${config.serverDir} is that of a primary from serial ${serial} on, in epoch ${epoch}; start devpi-server on it, without --role replica and --primary-url${lostSecretsSentence(lost)}\n`)
    return 0
  })
}

/** Secrets of the primary that are not here even after it was asked, in words. Refuses `conflict` where that is not accepted. */
async function lostSecrets(storage: Storage, config: ServerConfig, { lostSecrets }: PromoteOptions): Promise<string | undefined> {
  if (missingSentence(await missingSecrets(storage)) === undefined) return undefined
  await askForSecrets(storage, config).catch(() => undefined) // what is missing then is said
  const missing = missingSentence(await missingSecrets(storage))
  if (missing !== undefined && lostSecrets === 'refuse') throw lacksSecrets(missing)
  return missing
}

async function askForSecrets(storage: Storage, config: ServerConfig): Promise<void> {
  const url = storage.fact(PRIMARY_URL_FACT)
  if (url === undefined || !existsSync(secretPath(config))) return
  const tokens = nodeTokens(await loadSecret(secretPath(config)), Date.now)
  using primary = new PrimaryConnection({ url, node: storage.nodeId, tokens, replyTimeoutMs: SECRETS_TIMEOUT_MS })
  const since = storage.secretsSerial
  const take = (secrets: SecretsSince): Promise<void> => takeSecrets(storage, since, secrets)
  await fetchSecrets(primary, SECRETS_TIMEOUT_MS, { since, take, signal: AbortSignal.timeout(SECRETS_TIMEOUT_MS) })
}
