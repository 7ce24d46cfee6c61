import { nodeTokens } from '#server/auth/node-token.js'
import { loadSecret } from '#server/auth/secret-file.js'
import { fetchSnapshot } from '#server/replication/fetch-snapshot.js'
import { PrimaryConnection } from '#server/replication/primary-request.js'
import { loadSnapshot } from '#server/storage/load-snapshot.js'
import type { Logger } from './logger.js'

const REPLY_TIMEOUT_MS = 25_000
const PROGRESS_MS = 5000

/**
 * Fills the server directory of a new replica, which nobody has open, with a snapshot
 * of its primary. When there is none to be had, the directory stays empty, which is no fault:
 * the log is then followed from its first entry.
 */
export async function startFromSnapshot(input: {
  readonly serverDir: string
  readonly primaryUrl: string
  /** Uuid of this node. */
  readonly node: string
  readonly secretPath: string
  readonly logger: Logger
}): Promise<void> {
  const { serverDir, primaryUrl, node, logger } = input
  const tokens = nodeTokens(await loadSecret(input.secretPath), Date.now)
  using primary = new PrimaryConnection({ url: primaryUrl, node, tokens, replyTimeoutMs: REPLY_TIMEOUT_MS })
  let told = performance.now()
  logger.info({ primary: primaryUrl }, 'asking the primary for a snapshot')
  try {
    const { serial } = await loadSnapshot(serverDir, fetchSnapshot(primary, new AbortController().signal), (progress) => {
      if (performance.now() - told < PROGRESS_MS) return
      told = performance.now()
      logger.info({ ...progress }, 'taking over a snapshot of the primary')
    })
    logger.info({ serial }, 'took over a snapshot of the primary')
  } catch (error) {
    logger.warn({ primary: primaryUrl, reason: error instanceof Error ? error.message : String(error) }, 'there is no snapshot of the primary; its log is followed from the first entry')
  }
}
