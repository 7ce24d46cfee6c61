import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { readForm } from '#server/http/read-form.js'
import { MemoryBlobs } from '#test/support/memory-blobs.js'

interface Seen {
  readonly authorization: string | undefined
  readonly fields: Readonly<Record<string, string>>
  /** Fields that come several times, too. */
  readonly all: readonly (readonly [string, string])[]
  /** Its sha256. */
  readonly file: string | undefined
}

/** Stands for the public index: takes forms and answers as it is told. */
export class StandIn implements AsyncDisposable {
  readonly seen: Seen[] = []
  readonly #server: Server
  /** Called with each form before it is answered. */
  onForm: (seen: Seen) => void | Promise<void> = () => undefined
  #answers: (readonly [status: number, text: string])[]

  constructor(answers: (readonly [status: number, text: string])[] = []) {
    this.#answers = answers
    this.#server = createServer((request, response) => {
      void this.#take(request).then(() => {
        const [status, text] = this.#answers.shift() ?? [200, '']
        if (status === -1) return void request.socket.destroy()
        response.writeHead(status, status === 302 ? { Location: 'http://127.0.0.1:9/' } : {}).end(text)
      })
    })
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/legacy/`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    return Promise.resolve()
  }

  async #take(request: IncomingMessage): Promise<void> {
    const blobs = new MemoryBlobs()
    const form = await readForm(request, {
      maxBodyBytes: 10_000_000, maxFields: 100, maxFieldBytes: 100_000, maxTotalFieldBytes: 100_000, idleTimeoutMs: 10_000,
      onFile: ({ stream }) => blobs.receive(stream, { maxBytes: 10_000_000 }),
    })
    const seen = { authorization: request.headers.authorization, fields: Object.fromEntries(form.fields), all: form.fields, file: form.file?.content.sha256 }
    this.seen.push(seen)
    await form.file?.content[Symbol.asyncDispose]()
    await this.onForm(seen)
  }
}
