import { copyFile, link, mkdir, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { Refusal } from '#log-format/api/refusal.js'
import { digestHex } from '#log-format/chain.js'
import { readEntry } from '#log-format/codec.js'
import { NO_SERIAL, nextSerial, type Serial, toSerial } from '#log-format/serial.js'
import type { NodeTokens } from '#server/auth/node-token.js'
import { PARTED_FACT } from '#server/replication/follower.js'
import { claimIn, type EpochClaim } from '#server/replication/epoch-claim.js'
import { namedBlobs } from '#server/replication/named-blobs.js'
import { PrimaryConnection, refusalIn } from '#server/replication/primary-request.js'
import { prevails, type Reign } from '#server/storage/epoch-start.js'
import { FolderSync } from '#server/storage/folder-sync.js'
import { PRIMARY_UUID_FACT } from '#server/storage/rows.js'
import { entryLine, readSetAside, SET_ASIDE_FACT, SET_ASIDE_FOLDER, setEntriesAside } from '#server/storage/set-aside.js'
import type { Storage } from '#server/storage/storage.js'
import type { Logger } from './logger.js'
import { PRIMARY_URL_FACT, ROLE_FACT } from './role.js'

const REPLY_TIMEOUT_MS = 25_000

/**
 * Makes a log one that a promoted primary continues: what it has beyond the
 * newest entry that both have is put aside, with its files, and told of entry by entry.
 * Nothing is merged. The storage is to be closed and opened anew after it. Refuses `conflict` another
 * history, and a primary that nobody promoted since, or that is itself the one to give way.
 */
export async function rejoin(input: {
  readonly storage: Storage
  readonly serverDir: string
  readonly primaryUrl: string
  readonly tokens: NodeTokens
  readonly logger: Logger
}): Promise<void> {
  const { storage, serverDir, primaryUrl, tokens, logger } = input
  using primary = new PrimaryConnection({ url: primaryUrl, node: storage.nodeId, tokens, replyTimeoutMs: REPLY_TIMEOUT_MS })
  const common = await newestCommon(storage, primary, primaryUrl)
  const facts = { [ROLE_FACT]: 'replica', [PRIMARY_URL_FACT]: primaryUrl, [PRIMARY_UUID_FACT]: '', [PARTED_FACT]: 'no' }
  let aside = storage.fact(SET_ASIDE_FACT)
  let hasFiles = false
  if (common < storage.head.serial) {
    const { file, from, to } = await setEntriesAside({
      serverDir,
      entries: storage.entries,
      common,
      onEntry: async (entry, bytes) => {
        logger.warn({ serial: entry.serial, entry: entryLine(entry) }, 'the new primary does not have this entry; it is put aside')
        for (const { sha256 } of namedBlobs(bytes)) {
          await keepBlob(serverDir, sha256)
          hasFiles = true
        }
      },
    })
    aside = JSON.stringify([...readSetAside(aside), { file, from, to }])
    logger.warn({ file: join(serverDir, SET_ASIDE_FOLDER, file), from, to }, `${to - from + 1} entries were put aside, and this server follows the new primary without them`)
  }
  await using kept = new FolderSync(join(serverDir, SET_ASIDE_FOLDER, 'files'))
  if (hasFiles) await kept.sync()
  await storage.cutBack(common, { ...facts, ...(aside !== undefined && { [SET_ASIDE_FACT]: aside }) })
}

/** Finds by halves the newest serial with the same digest on both sides: below it all are the same, as each digest covers those before. */
async function newestCommon(storage: Storage, primary: PrimaryConnection, url: string): Promise<Serial> {
  let same: number = NO_SERIAL
  let different = storage.head.serial + 1
  let ask: number = storage.head.serial
  while (different - same > 1) {
    if (await hasSame(storage, primary, toSerial(ask), url)) same = ask
    else different = ask
    ask = Math.floor((same + different) / 2)
  }
  if (same === NO_SERIAL) throw otherHistory(url)
  return toSerial(same)
}

/** Refuses `not-available` when the primary does not say. */
async function hasSame(storage: Storage, primary: PrimaryConnection, serial: Serial, url: string): Promise<boolean> {
  const reply = await primary
    .head(`/+changelog/${nextSerial(serial)}-`, { Accept: '*/*', 'X-DEVPI-PARENT': await digestAt(storage, serial) }, AbortSignal.timeout(REPLY_TIMEOUT_MS))
    .catch((error: unknown) => { throw new Refusal('not-available', `the server at ${url} cannot be asked what of the entries of this serverdir it has, so nothing was changed; start again when it is there`, { cause: error }) })
  const { statusCode } = reply
  if (statusCode !== 200 && statusCode !== 404 && statusCode !== 409) throw await refusalIn(reply)
  reply.resume()
  requirePrevailing(claimIn(reply.headers), storage.reign, url)
  return statusCode === 200
}

/** Refuses `conflict` a primary that has to give way itself, or that nobody promoted. */
function requirePrevailing(claim: EpochClaim | undefined, own: Reign, url: string): void {
  if (claim !== undefined && prevails(claim, own)) return
  if (claim?.epoch === own.epoch && prevails(own, claim)) {
    throw new Refusal('conflict', `the server at ${url} was promoted to epoch ${own.epoch} as the log of this serverdir was, and this one prevails; nothing was changed: start this one as the primary, and that one as its replica`)
  }
  if (claim !== undefined && claim.epoch > own.epoch) throw otherHistory(url) // nothing else keeps a later epoch from prevailing
  throw new Refusal('conflict', `this serverdir has a history of its own, of epoch ${own.epoch}, and the server at ${url} was not promoted since: it is of epoch ${claim?.epoch ?? 'none'}; nothing was changed, choose a new --serverdir for a replica of it`)
}

function otherHistory(url: string): Refusal {
  return new Refusal('conflict', `the server at ${url} has another history than this serverdir, from its first entry on; nothing was changed, choose a new --serverdir for a replica of it`)
}

async function digestAt(storage: Storage, serial: Serial): Promise<string> {
  if (serial === storage.head.serial) return digestHex(storage.head.digest)
  for await (const [next] of storage.entries.read(nextSerial(serial), toSerial(serial + 2))) {
    if (next !== undefined) return digestHex(readEntry(next.bytes).parent)
  }
  throw new Error(`the log has no entry ${serial + 1}`)
}

/** Under a second name, as nothing in the log names it any more. A file that is not here is not missed. */
async function keepBlob(serverDir: string, sha256: string): Promise<void> {
  const folder = join(serverDir, SET_ASIDE_FOLDER, 'files')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const from = join(serverDir, 'files', sha256.slice(0, 2), sha256)
  const to = join(folder, sha256)
  await link(from, to).catch(async (error: unknown) => {
    const code = error instanceof Error || (typeof error === 'object' && error !== null) ? (error as { readonly code?: unknown }).code : undefined
    if (code !== 'EEXIST' && code !== 'ENOENT') await placeCopy(from, to) // a file system without links
  })
}

/** The copy has its name only once all of it is on the disk: a part of it would pass for the file. */
async function placeCopy(from: string, to: string): Promise<void> {
  await copyFile(from, `${to}.new`)
  {
    await using copied = await open(`${to}.new`)
    await copied.sync()
  }
  await rename(`${to}.new`, to)
}
