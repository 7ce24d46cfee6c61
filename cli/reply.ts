import { Failure } from './failure.js'
import { type JsonObject, textOf } from './json.js'
import { maskUrl } from './urls.js'

export interface Reply {
  readonly method: string
  /** Where it came from in the end. */
  readonly url: string
  readonly status: number
  /** Of the status line: some servers explain themselves there. */
  readonly reason: string
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  /** The body, if it is a JSON object. */
  readonly json: JsonObject | undefined
}

/** What the reply says, wherever it says it. */
export function messageOf({ json, text, headers, reason }: Reply): string | undefined {
  const message = textOf(json?.['message'])
  if (message !== undefined) return message
  const isPage = headers['content-type']?.startsWith('text/html') === true
  return reason === '' && isPage ? /<title>([^<]*)<\/title>/i.exec(text)?.[1]?.trim() : undefined
}

/**
 * Whether a server of a version we speak has answered. One that does not say
 * its version and answers JSON is an old one, and gives false. Fails with `API_VERSION`.
 */
export function saysItsVersion(reply: Reply, ourVersion: string): boolean {
  const found = reply.headers['x-devpi-api-version']
  if (found === '2') return true
  if (found !== undefined) {
    throw new Failure('API_VERSION', `devpi-client-${ourVersion} got a reply with API-VERSION ${found}, acceptable are: 2`, { hint: 'install a newer devpi client' })
  }
  if (reply.json === undefined && reply.status < 400) throw notDevpi(reply.url)
  return false
}

/** Fails with `API_VERSION` when the reply is of another type, such as `indexconfig`. */
export function requireType(reply: Reply, type: string): void {
  const found = textOf(reply.json?.['type'])
  if (found === type) return
  if (found === undefined) throw notDevpi(reply.url)
  throw new Failure('API_VERSION', `${maskUrl(reply.url)}: got result type '${found}', expected '${type}'`)
}

function notDevpi(url: string): Failure {
  return new Failure('API_VERSION', `${maskUrl(url)} answers, but is no devpi server`, { hint: 'check the address: `devpi use URL` takes that of a server or of an index' })
}
