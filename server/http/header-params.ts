/** A header value such as `form-data; name="x"`: its first word in lower case, and its parameters. */
export interface ParameterizedValue {
  readonly value: string
  readonly params: ReadonlyMap<string, string>
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
const PARAMETER = new RegExp(`^(${TOKEN})[ \\t]*=[ \\t]*(?:"((?:[^"\\\\]|\\\\.)*)"|(${TOKEN}))$`, 'u')

/**
 * Parses RFC 9110 5.6.6 parameters; undefined when they are malformed, name
 * a parameter twice, or hold a control character. A backslash escapes only a
 * quote or a backslash: browsers on Windows once sent whole paths unescaped.
 */
export function parseParameterized(header: string): ParameterizedValue | undefined {
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/u.test(header)) return undefined
  const [value = '', ...rest] = splitOutsideQuotes(header)
  if (value === '') return undefined
  const params = new Map<string, string>()
  for (const part of rest) {
    if (part === '') continue // a trailing semicolon
    const match = PARAMETER.exec(part)
    const name = match?.[1]?.toLowerCase()
    const text = match?.[2]?.replace(/\\(["\\])/gu, '$1') ?? match?.[3]
    if (name === undefined || text === undefined || params.has(name)) return undefined
    params.set(name, text)
  }
  return { value: value.toLowerCase(), params }
}

/** RFC 8187 `UTF-8''percent%20encoded`, as urllib3 before 1.25 sends file names; undefined when it is not that. */
export function decodeExtendedValue(text: string): string | undefined {
  const encoded = /^utf-8'[^']*'(.*)$/iu.exec(text)?.[1]
  if (encoded === undefined) return undefined
  try {
    return decodeURIComponent(encoded)
  } catch {
    return undefined
  }
}

function splitOutsideQuotes(header: string): string[] {
  const parts: string[] = []
  let quoted = false
  let from = 0
  for (let at = 0; at < header.length; at += 1) {
    const char = header[at]
    if (quoted && char === '\\') at += 1
    else if (char === '"') quoted = !quoted
    else if (char === ';' && !quoted) {
      parts.push(header.slice(from, at).trim())
      from = at + 1
    }
  }
  parts.push(header.slice(from).trim())
  return parts
}
