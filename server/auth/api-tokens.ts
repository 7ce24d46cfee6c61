import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

import type { JsonValue, TokenValue } from '#log-format/values.js'

/**
 * `devpi_` id `_` secret: a prefix that scanners for leaked secrets can look
 * for, and no character that URLs, shells or netrc files treat specially.
 * (`devpi-` and `pypi-` in front would make devpi-client take it for a macaroon.)
 */
const TOKEN_SHAPE = /^devpi_([0-9a-f]{16})_[\w-]{43}$/
const ID_BYTES = 8
const SECRET_BYTES = 32

/** What the vault keeps of a token. (A type and no interface, as only that is assignable to a `JsonValue`.) */
export type TokenSecret = {
  readonly user: string
  /**
   * Of the whole token, lower-case hex. A hash that is fast is enough: unlike
   * a password the token has 256 random bits, which nobody can try out.
   */
  readonly sha256: string
}

/** A token that was just made. `text` is for whoever asked for it and goes nowhere else. */
export interface NewToken {
  readonly id: string
  readonly text: string
  readonly secret: TokenSecret
}

/** Where tokens are looked up. */
export interface TokenStore {
  /** The vault's value of an id. */
  readonly secretOf: (id: string) => JsonValue | undefined
  /** The public part, as the log has it. */
  readonly valueOf: (user: string, id: string) => Promise<TokenValue | undefined>
}

/** What a text turns out to be: a token of somebody, which may be past its time, or none that is known here. */
export type FoundToken =
  | { readonly user: string; readonly value: TokenValue; readonly isExpired: boolean }
  | undefined

/** Draws a token, before the transaction that makes it good. */
export function newApiToken(user: string): NewToken {
  const id = randomBytes(ID_BYTES).toString('hex')
  const text = `devpi_${id}_${randomBytes(SECRET_BYTES).toString('base64url')}`
  return { id, text, secret: { user, sha256: hashOf(text).toString('hex') } }
}

/** Whether `text` is meant as an API token: then it is never tried as a password. */
export function looksLikeApiToken(text: string): boolean {
  return TOKEN_SHAPE.test(text)
}

/**
 * Whose token this is. Costs one hash, whether its id is known or not, and
 * tells in its answer and time no difference between an id that never was,
 * one that was revoked and a wrong secret.
 */
export async function findApiToken(store: TokenStore, text: string, nowMs: number): Promise<FoundToken> {
  const [, id] = TOKEN_SHAPE.exec(text) ?? []
  if (id === undefined) return undefined
  const secret = parseTokenSecret(store.secretOf(id))
  const matches = timingSafeEqual(hashOf(text), secret?.hash ?? NO_HASH)
  if (secret === undefined || !matches) return undefined
  const value = await store.valueOf(secret.user, id)
  if (value === undefined) return undefined
  return { user: secret.user, value, isExpired: hasExpired(value, nowMs) }
}

/** Whether the time of a token is over. */
export function hasExpired({ expires }: TokenValue, nowMs: number): boolean {
  return expires !== undefined && expires <= nowMs
}

/** No text has it. */
const NO_HASH = Buffer.alloc(32)

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** Undefined for what is no such value. */
function parseTokenSecret(value: JsonValue | undefined): { readonly user: string; readonly hash: Buffer } | undefined {
  if (typeof value !== 'object' || value === null || !('user' in value) || !('sha256' in value)) return undefined
  const { user, sha256 } = value
  if (typeof user !== 'string' || typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) return undefined
  return { user, hash: Buffer.from(sha256, 'hex') }
}
