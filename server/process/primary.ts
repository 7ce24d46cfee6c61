import { NO_SERIAL } from '#log-format/serial.js'
import type { PasswordHasher } from '#server/auth/passwords.js'
import type { ReplicaTable } from '#server/replication/replica-table.js'
import type { Storage } from '#server/storage/storage.js'
import { isLoopback, type ServerConfig } from './config.js'
import { initialiseStorage, refuseOpenRoot } from './initialise.js'
import type { Promoted } from './node-role.js'
import { FORMER_URL_FACT } from './role.js'

/** What of a server is otherwise where entries are made: the first one, and that not anybody is root. Resolves to whether it is new. */
export async function preparePrimary(storage: Storage, config: ServerConfig, hasher: PasswordHasher, time: number): Promise<boolean> {
  const isNew = storage.head.serial === NO_SERIAL
  if (isNew) await initialiseStorage(storage, config, hasher, time)
  await checkPrimary(storage, config, hasher)
  return isNew
}

/** Refuses `forbidden` a primary that others can reach while anybody could log in as root. */
export async function checkPrimary(storage: Storage, config: ServerConfig, hasher: PasswordHasher): Promise<void> {
  if (!isLoopback(config.host)) await refuseOpenRoot(storage, hasher, config.host)
}

export function promotedSentence({ serial, epoch, lost }: Promoted): string {
  return `the running server is the primary from serial ${serial} on, in epoch ${epoch}; start it from now on without --role replica and --primary-url${lostSecretsSentence(lost)}`
}

/** Put behind what says that a server was promoted. */
export function lostSecretsSentence(lost: string | undefined): string {
  return lost === undefined ? '' : `; set anew what did not come from the old primary: ${lost}`
}

const MOST_PEERS = 64

/** Where other nodes of this history may be: as configured, the primary before this one, and the replicas that say where they are. */
export function knownPeers({ storage, config, replicas }: { readonly storage: Storage; readonly config: ServerConfig; readonly replicas: ReplicaTable }): readonly string[] {
  const former = storage.fact(FORMER_URL_FACT)
  const followers = replicas.all().flatMap(([, { outsideUrl }]) => (outsideUrl === undefined ? [] : [outsideUrl.replace(/\/+$/, '')]))
  const all = new Set([...config.peers, ...(former === undefined ? [] : [former]), ...followers])
  all.delete(config.outsideUrl ?? '')
  return [...all].slice(0, MOST_PEERS)
}
