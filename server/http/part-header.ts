import { Refusal } from '#log-format/api/refusal.js'
import { decodeExtendedValue, parseParameterized } from './header-params.js'

/** What the header of a form part says. */
export interface PartHeader {
  readonly name: string
  /** As sent, with any folders; undefined for a plain field. */
  readonly filename: string | undefined
}

/** Header lines by lower-case name, one character per byte. */
export type RawPartHeader = Readonly<Record<string, readonly string[] | undefined>>

const UTF_8 = new TextDecoder('utf-8', { fatal: true })

/** RFC 7578 4.2: every part has a Content-Disposition `form-data` with a name. Refuses `invalid`. */
export function readPartHeader(raw: RawPartHeader): PartHeader {
  const lines = raw['content-disposition'] ?? []
  const line = lines.length === 1 ? lines[0] : undefined
  const parsed = line === undefined ? undefined : parseParameterized(decodeUtf8(Buffer.from(line, 'latin1'), 'a part header'))
  const name = parsed?.params.get('name')
  if (parsed?.value !== 'form-data' || name === undefined || name === '') {
    throw new Refusal('invalid', 'a part of the form has no readable Content-Disposition header with a name')
  }
  const encoding = raw['content-transfer-encoding']?.[0]?.trim().toLowerCase() ?? 'binary'
  if (!['binary', '7bit', '8bit'].includes(encoding)) {
    // RFC 7578 4.7 deprecates it for forms, and no client of ours sends another one.
    throw new Refusal('invalid', `the form part ${JSON.stringify(name)} has a Content-Transfer-Encoding, which is not supported`)
  }
  const extended = parsed.params.get('filename*')
  const filename = extended === undefined ? parsed.params.get('filename') : decodeExtendedValue(extended)
  if (extended !== undefined && filename === undefined) {
    throw new Refusal('invalid', `the file name of the form part ${JSON.stringify(name)} is not readable`)
  }
  return { name, filename }
}

/** `what` names the text in the refusal. */
export function decodeUtf8(bytes: Uint8Array, what: string): string {
  try {
    return UTF_8.decode(bytes)
  } catch (error) {
    throw new Refusal('invalid', `${what} is not valid UTF-8`, { cause: error })
  }
}
