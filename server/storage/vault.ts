import { packValue, unpackValue } from '#log-format/codec.js'
import type { JsonValue } from '#log-format/values.js'
import type { Database, RowOperation } from './database.js'
import { secretRow } from './rows.js'

/**
 * Secrets beside the log: verifiers of passwords, hashes of API tokens and
 * credentials of upstreams, by name. They are written in the batch of the entry that says
 * something changed, and no projection, log or listing can see them.
 */
export interface Vault {
  get(name: string): JsonValue | undefined
}

/** What a transaction may do with secrets. */
export interface VaultChanges extends Vault {
  set(name: string, secret: JsonValue): void
  delete(name: string): void
}

/** Names of the secrets. */
export const secretNames = {
  user: (user: string): string => `user\0${user}`,
  apiToken: (id: string): string => `token\0${id}`,
  upstream: (user: string, index: string): string => `upstream\0${user}\0${index}`,
}

export function openVault(db: Database): Vault {
  return {
    get: (name) => {
      const bytes = db.get(secretRow(name))
      return bytes === undefined ? undefined : unpackValue(bytes)
    },
  }
}

export function secretOperation(name: string, secret: JsonValue | undefined): RowOperation {
  const key = secretRow(name)
  return secret === undefined ? { type: 'del', key } : { type: 'put', key, value: packValue(secret) }
}
