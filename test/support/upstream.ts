import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export const SIMPLE_JSON = 'application/vnd.pypi.simple.v1+json'

/** Answers one request of the upstream in any way at all. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>

export interface UpstreamFile {
  readonly filename: string
  readonly content: Buffer
  /** Further fields of the file in JSON, over those that are true. */
  readonly fields?: Readonly<Record<string, unknown>>
}

/** Another index server, which answers as a test tells it to and remembers what it was asked. */
export class TestUpstream implements AsyncDisposable {
  readonly asked: { readonly path: string; readonly method: string; readonly headers: IncomingHttpHeaders }[] = []
  readonly #answers = new Map<string, Answer>()
  #port = 0
  readonly #server = createServer((request, response) => void this.#answer(request, response))

  static async start(): Promise<TestUpstream> {
    const upstream = new TestUpstream()
    await upstream.restart()
    return upstream
  }

  /** Listens where it did before. */
  async restart(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
  }

  /** Is gone, in the middle of whatever it sends. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** What a mirror of it has as its `mirror_url`. */
  get url(): string {
    return `${this.origin}/simple/`
  }

  /** From now on `path` is answered so. */
  on(path: string, answer: Answer): void {
    this.#answers.set(path, answer)
  }

  /** Requests for the path so far. */
  count(path: string): number {
    return this.asked.filter((request) => request.path === path).length
  }

  /** Has a project with these files, and answers revalidation by ETag. */
  project(name: string, files: readonly UpstreamFile[], { version = '1.1', contentType = SIMPLE_JSON }: { readonly version?: string; readonly contentType?: string } = {}): void {
    const listed = files.map(({ filename, content, fields }) => ({
      filename,
      url: `../../files/${name}/${encodeURIComponent(filename)}`,
      hashes: { sha256: sha256Of(content) },
      size: content.length,
      ...fields,
    }))
    const page = JSON.stringify({ meta: { 'api-version': version }, name, versions: [], files: listed })
    this.on(`/simple/${name}/`, text(page, { contentType, etag: `"${sha256Of(Buffer.from(page)).slice(0, 16)}"` }))
    for (const { filename, content } of files) {
      this.on(`/files/${name}/${encodeURIComponent(filename)}`, (_request, response) => void response.writeHead(200, { 'content-length': content.length }).end(content))
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? ''
    this.asked.push({ path, method: request.method ?? '', headers: request.headers })
    await (this.#answers.get(path) ?? status(404))(request, response)
  }
}

export function sha256Of(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

/** A page; answers 304 to who knows its ETag. */
export function text(body: string, { contentType = 'text/html', etag }: { readonly contentType?: string; readonly etag?: string } = {}): Answer {
  return (request, response) => {
    if (etag !== undefined && request.headers['if-none-match'] === etag) return void response.writeHead(304).end()
    response.writeHead(200, { 'content-type': contentType, ...(etag !== undefined && { etag }) }).end(body)
  }
}

export function status(code: number, headers: Readonly<Record<string, string>> = {}): Answer {
  return (_request, response) => void response.writeHead(code, headers).end('an error page')
}

export function redirect(location: string): Answer {
  return status(302, { location })
}

/** A file that can be had in parts. */
export function ranged(content: Buffer, headers: Readonly<Record<string, string>> = { etag: '"1"' }): Answer {
  return (request, response) => {
    const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? '') ?? []
    if (from === '' && to === '') return void response.writeHead(200, { ...headers, 'content-length': content.length }).end(content)
    const start = from === '' ? Math.max(0, content.length - Number(to)) : Number(from)
    const end = from === '' || to === '' ? content.length : Math.min(content.length, Number(to) + 1)
    response.writeHead(206, { ...headers, 'content-length': end - start, 'content-range': `bytes ${start}-${end - 1}/${content.length}` }).end(content.subarray(start, end))
  }
}

/** Never answers. */
export const silence: Answer = () => undefined

/** Promises more than it sends, then hangs up. */
export function truncated(body: Buffer, promised: number): Answer {
  return (_request, response) => {
    response.writeHead(200, { 'content-length': promised })
    response.write(body, () => response.destroy())
  }
}
