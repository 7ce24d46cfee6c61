import { NO_SERIAL } from '#log-format/serial.js'
import type { PasswordHasher } from '#server/auth/passwords.js'
import type { Storage } from '#server/storage/storage.js'
import { isLoopback, type ServerConfig } from './config.js'
import { initialiseStorage, refuseOpenRoot } from './initialise.js'

/** What of a server is otherwise where entries are made: the first one, and that not anybody is root. Resolves to whether it is new. */
export async function preparePrimary(storage: Storage, config: ServerConfig, hasher: PasswordHasher, time: number): Promise<boolean> {
  const isNew = storage.head.serial === NO_SERIAL
  if (isNew) await initialiseStorage(storage, config, hasher, time)
  if (!isLoopback(config.host)) await refuseOpenRoot(storage, hasher, config.host)
  return isNew
}
