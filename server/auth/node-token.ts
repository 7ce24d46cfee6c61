import { createHmac, timingSafeEqual } from 'node:crypto'

/** How far the age of a token may be from none, on either side: short-lived, yet good between clocks that are 10 minutes apart. */
const MOST_AGE_SECONDS = 15 * 60

/** Another use of the same secret has another name, see `tokens.ts`. */
const PURPOSE = 'devpi node token'
const PREFIX = 'dn1.'
const MAX_TOKEN_LENGTH = 256
/** `dn1.` payload `.` mac, both base64url; a mac of 32 bytes is 43 characters. */
const TOKEN_SHAPE = /^dn1\.([\w-]+)\.([\w-]{43})$/
const NODE_SHAPE = /^[0-9a-f]{32}$/

/** Whom a token speaks for: a node's uuid, 32 hex digits. */
export interface NodeSubject {
  readonly node: string
}

/** The tokens of one shared secret, at the time of one clock. */
export interface NodeTokens {
  /** One for this node, good from now on for a few minutes: each request gets a new one. */
  issue(node: string): string
  read(text: string): NodeSubject | 'expired' | undefined
}

export function nodeTokens(secret: Buffer, now: () => number): NodeTokens {
  return {
    issue: (node) => issueNodeToken(secret, node, now()),
    read: (text) => readNodeToken(secret, text, now()),
  }
}

/** Shows that `node`, a node's uuid of 32 hex digits, has the secret that its primary has. */
export function issueNodeToken(secret: Buffer, node: string, nowMs: number): string {
  if (!NODE_SHAPE.test(node)) throw new RangeError('the uuid of a node has 32 hex digits')
  const payload = Buffer.from(JSON.stringify([node, Math.floor(nowMs / 1000)])).toString('base64url')
  return `${PREFIX}${payload}.${macOf(secret, payload)}`
}

/**
 * Whom a genuine token is of, `expired` for a genuine one
 * that is too old or of a time still to come, undefined for any other text.
 */
export function readNodeToken(secret: Buffer, text: string, nowMs: number): NodeSubject | 'expired' | undefined {
  if (text.length > MAX_TOKEN_LENGTH) return undefined
  const [, payload, mac] = TOKEN_SHAPE.exec(text) ?? []
  if (payload === undefined || mac === undefined) return undefined
  if (!timingSafeEqual(Buffer.from(macOf(secret, payload)), Buffer.from(mac))) return undefined

  const fields = readPayload(payload)
  if (fields === undefined) return undefined
  const ageSeconds = nowMs / 1000 - fields.issuedSeconds
  return Math.abs(ageSeconds) <= MOST_AGE_SECONDS ? { node: fields.node } : 'expired'
}

function macOf(secret: Buffer, payload: string): string {
  const key = createHmac('sha256', secret).update(PURPOSE).digest()
  return createHmac('sha256', key).update(payload).digest('base64url')
}

/** Whoever has the secret wrote this, but perhaps another release of this server. */
function readPayload(payload: string): (NodeSubject & { readonly issuedSeconds: number }) | undefined {
  let fields: unknown
  try {
    fields = JSON.parse(Buffer.from(payload, 'base64url').toString())
  } catch {
    return undefined
  }
  if (!Array.isArray(fields)) return undefined
  const [node, issuedSeconds] = fields as readonly unknown[]
  if (typeof node !== 'string' || !NODE_SHAPE.test(node) || typeof issuedSeconds !== 'number') return undefined
  return { node, issuedSeconds }
}
