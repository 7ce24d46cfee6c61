import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Refusal } from '#log-format/api/refusal.js'
import { NO_SERIAL } from '#log-format/serial.js'
import { ROOT_USER } from '#server/auth/caller.js'
import { isPasswordVerifier, type PasswordHasher } from '#server/auth/passwords.js'
import { createUserSecret, parseUserSecret, type UserSecret, userSecretOf } from '#server/auth/user-secret.js'
import { initialiseServer } from '#server/commands/initialise.js'
import { nodeTokens } from '#server/auth/node-token.js'
import { loadSecret } from '#server/auth/secret-file.js'
import { PARTED_FACT } from '#server/replication/follower.js'
import { ALL_PROJECTIONS } from '#server/projections/all.js'
import { Storage } from '#server/storage/storage.js'
import { secretNames } from '#server/storage/vault.js'
import type { ServerConfig } from './config.js'
import type { Logger } from './logger.js'
import { rejoin } from './rejoin.js'
import { startFromSnapshot } from './snapshot-start.js'
import { type DecidedRole, decideRole, PRIMARY_URL_FACT, ROLE_FACT } from './role.js'

/** Serials between two lines about a rebuild. */
const PROGRESS_STEP = 50_000

/** Refuses a folder in which no server was ever initialised. */
export function requireServerDir(config: ServerConfig): void {
  if (existsSync(join(config.serverDir, 'db'))) return
  throw new Refusal('not-found', `${config.serverDir} is no server directory; name one with --serverdir, or make one with devpi-init`)
}

/**
 * Opens the database of a server directory, which is made when it is not there, and notes what the server is. Refuses a folder whose database was lost:
 * in a new one nothing would name what lies in `files`, and all of it would be swept. A log that parted from that of a promoted primary is
 * made one that it continues, see `rejoin`.
 */
export async function openServerDir(config: ServerConfig, logger: Logger): Promise<OpenedServerDir> {
  const opened = await openAs(config, logger)
  const { storage, decided } = opened
  const parted = decided.role === 'replica' && (decided.parts === true || storage.fact(PARTED_FACT) === 'yes') ? decided : undefined
  try {
    if (parted !== undefined) {
      requireSharedSecret(config)
      const tokens = nodeTokens(await loadSecret(secretPath(config)), Date.now)
      await rejoin({ storage, serverDir: config.serverDir, primaryUrl: parted.primaryUrl, tokens, logger })
    } else {
      await noteFact(storage, ROLE_FACT, decided.role)
      if (decided.role === 'replica') await noteFact(storage, PRIMARY_URL_FACT, decided.primaryUrl)
      if (beginsFromSnapshot(config, opened) !== undefined) requireSharedSecret(config)
    }
  } catch (error) {
    await storage[Symbol.asyncDispose]()
    throw error
  }
  if (parted !== undefined) {
    await storage[Symbol.asyncDispose]()
    return openServerDir({ ...config, role: 'replica', primaryUrl: parted.primaryUrl }, logger)
  }
  const snapshotUrl = beginsFromSnapshot(config, opened)
  if (snapshotUrl === undefined) return opened
  await storage[Symbol.asyncDispose]()
  await startFromSnapshot({ serverDir: config.serverDir, primaryUrl: snapshotUrl, node: storage.nodeId, secretPath: secretPath(config), logger })
  return openAs(config, logger)
}

export interface OpenedServerDir {
  readonly storage: Storage
  readonly decided: DecidedRole
}

/** The primary whose snapshot a new replica is to begin with. */
function beginsFromSnapshot({ fromSnapshot }: ServerConfig, { storage, decided }: OpenedServerDir): string | undefined {
  return fromSnapshot && decided.role === 'replica' && storage.head.serial === NO_SERIAL ? decided.primaryUrl : undefined
}

async function openAs(config: ServerConfig, logger: Logger): Promise<OpenedServerDir> {
  if (!existsSync(join(config.serverDir, 'db', 'CURRENT'))) refuseRemains(config.serverDir)
  makeFolder(config.serverDir)
  let next = 0
  let decided: DecidedRole | undefined
  const storage = await Storage.open({
    folder: config.serverDir,
    projections: ALL_PROJECTIONS,
    source: (known) => {
      const stored = { role: known.fact(ROLE_FACT), primaryUrl: known.fact(PRIMARY_URL_FACT), head: known.head }
      decided = decideRole({ asked: config.role, primaryUrl: config.primaryUrl, stored })
      return decided.role === 'replica' ? 'import' : 'transactions'
    },
    onRebuild: ({ serial, head }) => {
      if (serial < next && serial !== head) return
      next = serial + PROGRESS_STEP
      logger.info({ serial, head }, 'rebuilding projections from the log')
    },
  })
  if (decided !== undefined) return { storage, decided }
  await storage[Symbol.asyncDispose]()
  throw new Error('nobody asked what the server is')
}

/** Refuses `invalid` a replica whose secret is not there yet: one of its own would open nothing. */
export function requireSharedSecret(config: ServerConfig): void {
  const path = secretPath(config)
  if (existsSync(path)) return
  throw new Refusal('invalid', `there is no secret file ${path}; a replica needs a copy of that of its primary, named with --secretfile`)
}

export function secretPath({ secretFile, serverDir }: ServerConfig): string {
  return secretFile ?? join(serverDir, '.secret')
}

/** The database alone, as what the serverdir was before, for programs that do not serve. */
export async function openStorage(config: ServerConfig, logger: Logger): Promise<Storage> {
  return (await openAs({ ...config, role: 'auto', primaryUrl: undefined }, logger)).storage
}

async function noteFact(storage: Storage, name: string, value: string): Promise<void> {
  if (storage.fact(name) !== value) await storage.setFact(name, value)
}

function makeFolder(serverDir: string): void {
  try {
    mkdirSync(serverDir, { recursive: true })
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown reason'
    throw new Refusal('invalid', `${serverDir} cannot be made a server directory (${code}); choose another --serverdir`, { cause: error })
  }
}

/** What holds rows of LevelDB. Without its file CURRENT it would start anew over them. */
const DATABASE_FILE = /\.(log|ldb|sst)$/

function refuseRemains(serverDir: string): void {
  const inFolder = (name: string): string[] => (existsSync(join(serverDir, name)) ? readdirSync(join(serverDir, name)) : [])
  const holdsBlobs = inFolder('files').some((name) => /^[0-9a-f]{2}$/.test(name))
  if (!holdsBlobs && !inFolder('db').some((name) => DATABASE_FILE.test(name))) return
  throw new Refusal(
    'conflict',
    `${serverDir} holds what is left of a server whose database is gone or damaged; restore its folder db from a backup, or choose another --serverdir`,
  )
}

/** Writes serial 0 into an empty log: the superuser, and unless declined the mirror root/pypi. */
export async function initialiseStorage(
  storage: Storage,
  config: ServerConfig,
  hasher: PasswordHasher,
  time: number,
): Promise<void> {
  if (storage.head.serial !== NO_SERIAL) {
    throw new Refusal('conflict', `${config.serverDir} is initialised already; start devpi-server on it, or choose another --serverdir`)
  }
  const verifier = await rootSecret(config, hasher)
  const origin = { time, actor: '+system', via: 'system', request: 'initialise' } as const
  await storage.transact(origin, (tx) => initialiseServer(tx, { verifier, withPypi: config.rootIndex }))
}

/** Tells of what a new server directory has from the start. */
export function reportInitialised(storage: Storage, config: ServerConfig, logger: Logger): void {
  logger.info({ uuid: storage.nodeId }, 'generated the uuid of this server')
  logger.info({ user: ROOT_USER }, 'created the user root')
  if (config.rootIndex) logger.info({ index: 'root/pypi' }, 'created the index root/pypi')
}

/** Refuses to be reachable from elsewhere while anybody could log in as root. */
export async function refuseOpenRoot(storage: Storage, hasher: PasswordHasher, host: string): Promise<void> {
  const secret = parseUserSecret(storage.vault.get(secretNames.user(ROOT_USER)) ?? null)
  if (secret === undefined || !(await hasher.verify(secret.verifier, ''))) return
  throw new Refusal(
    'forbidden',
    `root has an empty password, so the server listens on this machine only, not on ${host}; ` +
      'set a password with "devpi-passwd root --serverdir DIR" first, or initialise with "devpi-init --root-passwd PASSWORD"',
  )
}

async function rootSecret(config: ServerConfig, hasher: PasswordHasher): Promise<UserSecret> {
  if (config.rootPasswordHash === undefined) return createUserSecret(hasher, config.rootPassword)
  if (!isPasswordVerifier(config.rootPasswordHash)) {
    throw new Refusal('invalid', '--root-passwd-hash is no argon2id hash such as $argon2id$v=19$m=…, so nobody could log in as root')
  }
  return userSecretOf(config.rootPasswordHash)
}
