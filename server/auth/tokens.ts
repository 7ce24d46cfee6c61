import { createHmac, timingSafeEqual } from 'node:crypto'

/** How long a login lasts. Clients print it in hours (`spec/server-http.md` 3.2). */
export const TOKEN_LIFETIME_SECONDS = 36_000

/** Whom a token speaks for: `credential` is the id of the password it was given for, so it ends with that password. */
export interface TokenSubject {
  readonly user: string
  readonly credential: string
}

/** Another use of the same secret has another name here, so that no text signed for it can pass as a token. */
const PURPOSE = 'devpi login token'
const PREFIX = 'dl1.'
const MAX_TOKEN_LENGTH = 2048
/** `dl1.` payload `.` mac, both base64url; a mac of 32 bytes is 43 characters. */
const TOKEN_SHAPE = /^dl1\.([\w-]+)\.([\w-]{43})$/
/** How far the clock of the node that issued a token may be ahead. */
const CLOCK_SKEW_SECONDS = 15 * 60

/**
 * A login token: pure ASCII without a character that URLs treat specially, as
 * clients put it there. It is stateless; any node that has the secret reads it.
 */
export function issueToken(secret: Buffer, subject: TokenSubject, nowMs: number): string {
  const fields = [subject.user, subject.credential, Math.floor(nowMs / 1000)]
  const payload = Buffer.from(JSON.stringify(fields)).toString('base64url')
  const token = `${PREFIX}${payload}.${macOf(secret, payload)}`
  if (token.length > MAX_TOKEN_LENGTH) throw new RangeError('the subject is too long for a token')
  return token
}

/** The subject of a genuine token, `expired` for a genuine one past its time, undefined for any other text. */
export function readToken(secret: Buffer, text: string, nowMs: number): TokenSubject | 'expired' | undefined {
  if (text.length > MAX_TOKEN_LENGTH) return undefined
  const [, payload, mac] = TOKEN_SHAPE.exec(text) ?? []
  if (payload === undefined || mac === undefined) return undefined
  if (!timingSafeEqual(Buffer.from(macOf(secret, payload)), Buffer.from(mac))) return undefined

  const fields = readPayload(payload)
  if (fields === undefined) return undefined
  const ageSeconds = nowMs / 1000 - fields.issuedSeconds
  if (ageSeconds < -CLOCK_SKEW_SECONDS) return undefined
  if (ageSeconds >= TOKEN_LIFETIME_SECONDS) return 'expired'
  return { user: fields.user, credential: fields.credential }
}

/** Whether `text` is meant as a token: then it is never tried as a password, which would be slow. */
export function looksLikeToken(text: string): boolean {
  return text.length <= MAX_TOKEN_LENGTH && TOKEN_SHAPE.test(text)
}

function macOf(secret: Buffer, payload: string): string {
  const key = createHmac('sha256', secret).update(PURPOSE).digest()
  return createHmac('sha256', key).update(payload).digest('base64url')
}

interface Payload extends TokenSubject {
  readonly issuedSeconds: number
}

/** Whoever has the secret wrote this, but perhaps another release of this server. */
function readPayload(payload: string): Payload | undefined {
  let fields: unknown
  try {
    fields = JSON.parse(Buffer.from(payload, 'base64url').toString())
  } catch {
    return undefined
  }
  if (!Array.isArray(fields)) return undefined
  const [user, credential, issuedSeconds] = fields as readonly unknown[]
  if (typeof user !== 'string' || typeof credential !== 'string' || typeof issuedSeconds !== 'number') return undefined
  return { user, credential, issuedSeconds }
}
