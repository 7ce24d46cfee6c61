/** What a request claims; nothing here is checked. `secret` is a password or a token. */
export interface Credentials {
  /** Undefined for a bearer token, which has to say itself whose it is. */
  readonly user: string | undefined
  readonly secret: string
  readonly header: 'x-devpi-auth' | 'authorization'
}

/** Request headers as node:http gives them: names in lower case. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/** Enough for the longest name, password and token together. */
const MAX_ENCODED_LENGTH = 8192

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The credentials of a request (`spec/server-http.md` 3.1, RFC 7617, RFC 6750):
 * devpi-client sends `X-Devpi-Auth`, which is `base64(user:secret)`, everyone
 * else `Authorization: Basic` or `Bearer`. The former is looked at first, and only
 * if it cannot be decoded the latter counts. Other schemes are none of our business:
 * undefined, as without any header. `malformed`: a header was there, and none
 * could be decoded.
 */
export function parseCredentials(headers: RequestHeaders): Credentials | 'malformed' | undefined {
  const devpi = headers['x-devpi-auth']
  const fromDevpi = devpi === undefined ? undefined : decode(devpi, 'x-devpi-auth')
  if (fromDevpi !== undefined && fromDevpi !== 'malformed') return fromDevpi

  const authorization = headers['authorization']
  const [, scheme, encoded = ''] = (typeof authorization === 'string' && /^ *(\S+) *(.*)$/s.exec(authorization)) || []
  switch (scheme?.toLowerCase()) {
    case 'basic':
      return decode(encoded, 'authorization')
    case 'bearer':
      return bearer(encoded.trim())
    default:
      return fromDevpi
  }
}

/** `b64token` of RFC 6750 section 2.1. */
function bearer(token: string): Credentials | 'malformed' {
  if (token.length > MAX_ENCODED_LENGTH || !/^[\w.~+/-]+=*$/.test(token)) return 'malformed'
  return { user: undefined, secret: token, header: 'authorization' }
}

function decode(encoded: string | readonly string[], header: Credentials['header']): Credentials | 'malformed' {
  if (typeof encoded !== 'string' || encoded.length > MAX_ENCODED_LENGTH) return 'malformed'
  const base64 = encoded.trim()
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) return 'malformed'

  const text = decodeText(Buffer.from(base64, 'base64'))
  const colon = text.indexOf(':') // the first one: names have none, secrets may
  const user = text.slice(0, Math.max(colon, 0))
  // Without a name nobody is meant, and RFC 7617 allows no control characters.
  if (user === '' || /\p{Cc}/u.test(user)) return 'malformed'
  return { user, secret: text.slice(colon + 1), header }
}

/** UTF-8, or else Latin-1, which old clients send and which every byte sequence is. */
function decodeText(bytes: Buffer): string {
  try {
    return utf8.decode(bytes)
  } catch {
    return bytes.toString('latin1')
  }
}
