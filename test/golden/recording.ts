import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** One exchange with the reference server, as `recordings/*.jsonl` has it. */
export interface Exchange {
  readonly step: string
  readonly method: string
  readonly path: string
  readonly req_headers?: Readonly<Record<string, string>>
  readonly req_json?: unknown
  readonly req_body?: string
  readonly req_form?: RecordedForm
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  readonly body_sha256?: string
}

interface RecordedForm {
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly files: readonly { readonly field: string; readonly filename: string; readonly path: string }[]
}

export interface OutgoingRequest {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | undefined
}

// From dist/test/golden: recordings are not compiled.
const FOLDER = join(import.meta.dirname, '../../../test/golden/recordings')
const BOUNDARY = 'a-boundary-of-the-replay'

export function readRecording(name: string): Exchange[] {
  const lines = readFileSync(join(FOLDER, `${name}.jsonl`), 'utf8').trim().split('\n')
  return lines.map((line) => JSON.parse(line) as Exchange)
}

/** The request as it was sent, with the credentials of now where it had some. */
export function requestOf(exchange: Exchange, auth: string | undefined): OutgoingRequest {
  const headers: Record<string, string> = { ...exchange.req_headers, Host: 'localhost:3141' }
  if ('X-Devpi-Auth' in headers && auth !== undefined) headers['X-Devpi-Auth'] = auth
  const { req_json: json, req_body: text, req_form: form } = exchange
  if (form !== undefined) {
    return { headers: { ...headers, 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}` }, body: formBytes(form) }
  }
  if (json !== undefined) return { headers, body: Buffer.from(spacedJson(json)) }
  return { headers, body: text === undefined ? undefined : Buffer.from(text) }
}

function formBytes({ fields, files }: RecordedForm): Buffer {
  const parts: (string | Buffer)[] = []
  for (const [name, value] of fields) parts.push(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`)
  for (const { field, filename, path } of files) {
    parts.push(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="${field}"; filename="${filename}"\r\n\r\n`)
    parts.push(readFileSync(join(FOLDER, path)), '\r\n')
  }
  parts.push(`--${BOUNDARY}--\r\n`)
  return Buffer.concat(parts.map((part) => Buffer.from(part)))
}

/** JSON as the recording client wrote it, whose bytes are part of what is compared: a space behind commas and colons. */
function spacedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spacedJson).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${spacedJson(item)}`).join(', ')}}`
}
