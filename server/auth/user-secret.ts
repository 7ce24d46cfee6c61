import { randomBytes } from 'node:crypto'

import type { JsonValue } from '#log-format/values.js'
import { isPasswordVerifier, type PasswordHasher } from './passwords.js'

/**
 * What the vault keeps of a user. `id` names this very password: login tokens
 * carry it, so they end when the password is changed or the user is deleted,
 * also if one of the same name comes again. (A type and no interface, as only
 * that is assignable to a `JsonValue`.)
 */
export type UserSecret = {
  readonly verifier: string
  readonly id: string
}

/** The secret of a new password, done before a transaction. Refuses as `PasswordHasher.hash`. */
export async function createUserSecret(hasher: PasswordHasher, password: string): Promise<UserSecret> {
  return userSecretOf(await hasher.hash(password))
}

/** The secret of a verifier made elsewhere. */
export function userSecretOf(verifier: string): UserSecret {
  return { verifier, id: randomBytes(12).toString('base64url') }
}

/** The vault's value; undefined for a user without password, and for what is no such value. */
export function parseUserSecret(value: JsonValue | undefined): UserSecret | undefined {
  if (typeof value !== 'object' || value === null || !('verifier' in value) || !('id' in value)) return undefined
  const { verifier, id } = value
  if (typeof verifier !== 'string' || typeof id !== 'string' || id === '') return undefined
  return isPasswordVerifier(verifier) ? { verifier, id } : undefined
}
