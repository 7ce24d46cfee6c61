import type { IncomingMessage } from 'node:http'
import { Refusal } from '#log-format/api/refusal.js'
import type { JsonValue } from '#log-format/values.js'
import { BodyFeed, type BodyOptions } from './request-body.js'

/** Settings, users and logins are small; nobody needs to parse more than this. */
const MAX_JSON_BYTES = 1024 * 1024
/** Deeper values are refused: the log could not hold them. */
const MAX_DEPTH = 32
const MAX_NAME_LENGTH = 1000
/** A member of these names would change what the object is, or be called by who packs it. */
const UNSTORABLE: ReadonlySet<string> = new Set(['__proto__', 'toJSON'])

export interface JsonObject {
  readonly [name: string]: JsonValue
}

/** Reads a JSON document. Refuses `invalid` for what is none, and `too-large`. */
export async function readJson(request: IncomingMessage, options: { readonly idleTimeoutMs: number }): Promise<JsonValue> {
  return parseJson(await readBytes(request, { maxBytes: MAX_JSON_BYTES, ...options }))
}

/** Reads a JSON object. Refuses as {@link readJson}, and what is no object. */
export async function readJsonObject(
  request: IncomingMessage,
  options: { readonly idleTimeoutMs: number },
): Promise<JsonObject> {
  const value = await readJson(request, options)
  if (!isObject(value)) throw new Refusal('invalid', 'Bad request: the body must be a JSON object')
  return value
}

export function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A whole body, up to `maxBytes`. */
export function readBytes(request: IncomingMessage, options: BodyOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const feed = new BodyFeed(request, options, {
      write: (chunk) => {
        chunks.push(chunk)
        return true
      },
      end: () => {
        feed[Symbol.dispose]()
        resolve(Buffer.concat(chunks))
      },
      fail: (reason) => {
        feed[Symbol.dispose]()
        reject(reason instanceof Error ? reason : new Error('the body could not be read', { cause: reason }))
      },
    })
  })
}

/** Refuses `invalid` for bytes that are no JSON in UTF-8, and for values that the log cannot hold. */
export function parseJson(bytes: Uint8Array): JsonValue {
  let value: JsonValue
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as JsonValue
  } catch {
    throw new Refusal('invalid', 'Bad request: could not decode json')
  }
  checkValue(value, 0)
  return value
}

function checkValue(value: JsonValue, depth: number): void {
  if (depth > MAX_DEPTH) throw new Refusal('invalid', `Bad request: the json is nested deeper than ${MAX_DEPTH} levels`)
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new Refusal('invalid', 'Bad request: the json holds a number that is too large')
  }
  if (typeof value === 'string' && !value.isWellFormed()) {
    throw new Refusal('invalid', 'Bad request: the json holds half a surrogate pair')
  }
  if (typeof value !== 'object' || value === null) return
  for (const [name, item] of Object.entries(value)) {
    checkName(name)
    checkValue(item, depth + 1)
  }
}

function checkName(name: string): void {
  if (!name.isWellFormed()) throw new Refusal('invalid', 'Bad request: the json holds half a surrogate pair')
  if (name.length > MAX_NAME_LENGTH || UNSTORABLE.has(name)) {
    throw new Refusal('invalid', `Bad request: the json has a member that cannot be stored, ${JSON.stringify(name.slice(0, 40))}`)
  }
}
