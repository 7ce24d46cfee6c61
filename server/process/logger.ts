import { pino, type DestinationStream, type Logger } from 'pino'

export type { Logger } from 'pino'

export interface LogOptions {
  /** Also what helps to find a fault. */
  readonly debug: boolean
  /** `json`: one object a line, for machines; `text`: one line for a reader. */
  readonly format: 'json' | 'text'
  /** Takes whole lines. */
  readonly write: (line: string) => void
}

/**
 * A logger whose lines carry an ISO time and a level by name, and never a credential: headers and fields that hold one
 * are replaced wherever they stand, up to three levels deep.
 */
export function openLogger({ debug, format, write }: LogOptions): Logger {
  const destination: DestinationStream = { write: (line) => { write(format === 'json' ? line : textLine(line)) } }
  return pino(
    {
      level: debug ? 'debug' : 'info',
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_PATHS, censor: '[secret]' },
    },
    destination,
  )
}

/** A logger all of whose lines name the request. */
export function forRequest(logger: Logger, request: string): Logger {
  return logger.child({ request })
}

const SECRET_FIELDS = [
  'authorization', 'Authorization', 'proxy-authorization', 'Proxy-Authorization', 'x-devpi-auth', 'X-Devpi-Auth',
  'cookie', 'Cookie', 'set-cookie', 'Set-Cookie', 'password', 'passwd', 'rootPassword', 'rootPasswordHash', 'pwhash',
  'token', 'secret',
]
const SECRET_PATHS = ['', '*', '*.*'].flatMap((prefix) =>
  SECRET_FIELDS.map((field) => `${prefix}${field.includes('-') ? `["${field}"]` : `${prefix === '' ? '' : '.'}${field}`}`),
)

/** `2026-01-31T12:00:00.000Z INFO  [request] message key=value`, then the stack of a fault. */
function textLine(json: string): string {
  const { time, level, msg, request, err, ...fields } = parseLine(json)
  const tag = request === undefined ? '' : ` [${plain(request)}]`
  const rest = Object.entries(fields).map(([name, value]) => ` ${name}=${plain(value)}`).join('')
  return `${plain(time)} ${plain(level).toUpperCase().padEnd(5)}${tag} ${plain(msg ?? '')}${rest}${stackOf(err)}\n`
}

function parseLine(json: string): Readonly<Record<string, unknown>> {
  const line: unknown = JSON.parse(json)
  return typeof line === 'object' && line !== null ? { ...line } : { msg: line }
}

/** One line, whatever a client put into a name: control characters are escaped. */
function plain(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function stackOf(err: unknown): string {
  if (typeof err !== 'object' || err === null || !('stack' in err) || typeof err.stack !== 'string') return ''
  return `\n  ${err.stack.split('\n').map(plain).join('\n  ')}`
}
