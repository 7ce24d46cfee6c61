import { randomBytes } from 'node:crypto'

export interface FormFile {
  readonly field: string
  readonly filename: string
  readonly size: number
  /** The bytes in order, read as they are taken. */
  readonly bytes: () => AsyncIterable<Uint8Array>
}

export interface MultipartForm {
  readonly contentType: string
  readonly contentLength: number
  /** Anew each time, so that a form can be sent again. */
  readonly pieces: () => AsyncGenerator<Uint8Array>
}

/** RFC 7578, the text parts first. Its length is known before it is read. */
export function multipart(fields: readonly (readonly [name: string, value: string])[], file: FormFile | undefined): MultipartForm {
  const boundary = `form-${randomBytes(16).toString('hex')}`
  const head = fields.map(([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`)
  if (file !== undefined) head.push(`--${boundary}\r\nContent-Disposition: form-data; name="${file.field}"; filename="${escaped(file.filename)}"\r\n\r\n`)
  const start = Buffer.from(head.join(''))
  const end = Buffer.from(`${file === undefined ? '' : '\r\n'}--${boundary}--\r\n`)
  async function* pieces(): AsyncGenerator<Uint8Array> {
    yield start
    if (file !== undefined) yield* file.bytes()
    yield end
  }
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    contentLength: start.length + (file?.size ?? 0) + end.length,
    pieces,
  }
}

/** As browsers do: what would end the name early. */
function escaped(filename: string): string {
  return filename.replaceAll('"', '%22').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
}
