import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { Dicer } from '@fastify/busboy'
import { Refusal } from '#log-format/api/refusal.js'
import type { Form, FormOptions } from './form.js'
import { decodeUtf8, type RawPartHeader, readPartHeader } from './part-header.js'
import { BodyFeed } from './request-body.js'

/** The one part that is streamed; a second one is refused. */
const FILE_FIELD = 'content'
/** A signature file, which old clients attach: read and ignored. */
const IGNORED_FILE_FIELD = 'gpg_signature'

/** Reads a `multipart/form-data` body (RFC 7578); the rest as `readForm` has it. */
export async function readMultipart<F extends AsyncDisposable>(
  req: IncomingMessage,
  boundary: string,
  options: FormOptions<F>,
): Promise<Form<F>> {
  return new FormReader(options).read(req, boundary)
}

/** Reads one form. The first thing that goes wrong is what the caller hears of. */
class FormReader<F extends AsyncDisposable> {
  readonly #options: FormOptions<F>
  readonly #aborter = new AbortController()
  readonly #fields: (readonly [string, Promise<string>])[] = []
  #file: { readonly filename: string; readonly content: Promise<F> } | undefined
  #openParts = 0
  #fieldBytes = 0
  #ignoredFiles = 0
  #parsed = false
  #ended = false
  #finish: () => void = () => undefined
  #reject: (reason: unknown) => void = () => undefined

  constructor(options: FormOptions<F>) {
    this.#options = options
  }

  async read(req: IncomingMessage, boundary: string): Promise<Form<F>> {
    const { maxBodyBytes, idleTimeoutMs, signal } = this.#options
    const complete = new Promise<void>((resolve, reject) => {
      this.#finish = resolve
      this.#reject = reject
    })
    const parser = this.#parser(boundary)
    using feed = new BodyFeed(
      req,
      { maxBytes: maxBodyBytes, idleTimeoutMs, ...(signal && { signal }) },
      {
        // A parser that has seen the closing boundary never asks for more, whatever it said of the piece that had it.
        write: (chunk) => this.#parsed || this.#aborter.signal.aborted || parser.write(chunk) || this.#parsed,
        end: () => {
          this.#ended = true
          if (this.#parsed) this.#finish()
          else parser.end()
        },
        fail: (reason) => this.#fail(reason),
      },
    )
    for (const event of ['drain', 'finish']) parser.on(event, () => feed.resume())
    try {
      await complete
      return await this.#form()
    } catch (error) {
      this.#fail(error)
      const content = await this.#file?.content.catch(() => undefined)
      await content?.[Symbol.asyncDispose]()
      throw error
    }
  }

  async #form(): Promise<Form<F>> {
    const fields: (readonly [string, string])[] = []
    for (const [name, value] of this.#fields) fields.push([name, await value])
    const file = this.#file && { filename: this.#file.filename, content: await this.#file.content }
    return { fields, file }
  }

  #parser(boundary: string): Dicer {
    const parser = new Dicer({ boundary })
    parser.on('part', (part: Dicer.PartStream) => {
      this.#openParts += 1
      part.on('error', ignore) // the parser reports it as well
      part.on('header', (header) => {
        this.#openParts -= 1
        try {
          this.#readPart(part, header as RawPartHeader)
        } catch (error) {
          this.#fail(error)
        }
      })
    })
    parser.on('error', (error: Error) => {
      this.#fail(new Refusal('invalid', 'the form ends before its closing boundary', { cause: error }))
    })
    parser.on('finish', () => {
      this.#parsed = true // what follows the closing boundary is skipped, but awaited
      if (this.#openParts > 0) this.#fail(new Refusal('invalid', 'a part of the form has no complete header'))
      else if (this.#ended) this.#finish()
    })
    return parser
  }

  #readPart(part: Readable, header: RawPartHeader): void {
    if (this.#aborter.signal.aborted) return
    const { name, filename } = readPartHeader(header)
    if (filename === undefined) return this.#readField(part, name)
    if (name === FILE_FIELD) return this.#readFile(part, filename)
    if (name !== IGNORED_FILE_FIELD) {
      throw new Refusal('invalid', `the form field ${JSON.stringify(name)} must be text, but was sent as a file`)
    }
    this.#ignoredFiles += 1
    if (this.#ignoredFiles > 1) throw new Refusal('invalid', `the form has more than one file ${JSON.stringify(name)}`)
    void this.#await(this.#fieldBytesOf(part, name))
  }

  #readField(part: Readable, name: string): void {
    const { maxFields } = this.#options
    if (name === FILE_FIELD) throw new Refusal('invalid', `the form field ${JSON.stringify(name)} must be a file with a file name`)
    if (this.#fields.length >= maxFields) throw new Refusal('too-large', `the form has more than ${maxFields} fields`)
    this.#countFieldBytes(Buffer.byteLength(name))
    const value = this.#fieldBytesOf(part, name).then((bytes) => decodeUtf8(bytes, `the form field ${JSON.stringify(name)}`))
    this.#fields.push([name, this.#await(value)])
  }

  #readFile(part: Readable, filename: string): void {
    if (this.#file !== undefined) throw new Refusal('invalid', 'the form has more than one file')
    const { onFile } = this.#options
    const fieldsBefore = this.#fields.map(([name]) => name)
    const content = this.#await(onFile({ filename, fieldsBefore, stream: part, signal: this.#aborter.signal }))
    this.#file = { filename, content }
  }

  /** Makes the failure of one part the failure of the form. */
  #await<T>(content: Promise<T>): Promise<T> {
    content.catch((error: unknown) => this.#fail(error))
    return content
  }

  #fieldBytesOf(part: Readable, name: string): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let size = 0
      part.on('data', (chunk: Buffer) => {
        size += chunk.length
        chunks.push(chunk)
        try {
          if (size > this.#options.maxFieldBytes) throw new Refusal('too-large', `the form field ${JSON.stringify(name)} is too long`)
          this.#countFieldBytes(chunk.length)
        } catch (error) {
          part.removeAllListeners('data').resume()
          reject(error instanceof Error ? error : new Error('the field could not be read', { cause: error }))
        }
      })
      part.on('end', () => resolve(Buffer.concat(chunks)))
    })
  }

  #countFieldBytes(bytes: number): void {
    this.#fieldBytes += bytes
    if (this.#fieldBytes > this.#options.maxTotalFieldBytes) throw new Refusal('too-large', 'the fields of the form are too long together')
  }

  #fail(reason: unknown): void {
    if (this.#aborter.signal.aborted) return
    this.#aborter.abort(reason)
    this.#reject(reason)
  }
}

function ignore(): void {
  // Reported by another road.
}
