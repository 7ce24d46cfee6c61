import { createHash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { wheel } from '#test/support/archives.js'
import { uploadForm } from '#test/support/upload-form.js'

/** An upload that was answered with success. */
export interface Acknowledged {
  readonly filename: string
  readonly path: string
  readonly sha256: string
  readonly serial: number
  /** Uuid of the server that made the entry. */
  readonly primary: string
  /** Address that it was sent to. */
  readonly url: string
  readonly askedMs: number
  readonly atMs: number
}

export interface SwitchLoadOptions {
  /** Where half of the uploaders begin; they leave it when it refuses or is gone. */
  readonly oldUrl: string
  /** Where the others upload, and all installers read. */
  readonly newUrl: string
  /** `user:password` in base64. */
  readonly auth: string
  /** Versions of two loads differ. */
  readonly round: number
}

const UPLOADERS = 8
const INSTALLERS = 8
const PAUSE_MS = 25
/** Longer than a gap may be: whoever hangs is noticed. */
const REPLY_TIMEOUT_MS = 8000
/** What a client may be told while there is no primary, or when it is not known whether there was one. */
const NO_PRIMARY = [502, 503]
export const PAGE = '/ada/dev/+simple/demo/'

/** Uploaders and installers that go on whatever happens, and keep in mind what they were told. */
export class SwitchLoad implements AsyncDisposable {
  readonly acknowledged: Acknowledged[] = []
  /** Files that the new server gave away once, so that it has them. */
  readonly had = new Map<string, string>()
  /** What must not be. */
  readonly problems: string[] = []
  reads = 0
  readonly #options: SwitchLoadOptions
  #isStopped = false
  readonly #running: Promise<unknown>

  constructor(options: SwitchLoadOptions) {
    this.#options = options
    this.#running = Promise.all([
      ...Array.from({ length: UPLOADERS }, (_, at) => this.#keepUploading(at)),
      ...Array.from({ length: INSTALLERS }, (_, at) => this.#keepReading(at)),
    ])
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** How many were acknowledged at an address, by an uploader that uploads there now. */
  countAt(url: string): number {
    return this.acknowledged.filter((one) => one.url === url).length
  }

  async #keepUploading(uploader: number): Promise<void> {
    const { oldUrl, newUrl, round } = this.#options
    let url = uploader % 2 === 0 ? oldUrl : newUrl
    for (let at = 0; !this.#isStopped; at += 1) {
      await wait(PAUSE_MS)
      const isDone = await this.upload(url, `${round}.${uploader}.${at}`)
      if (!isDone && url === oldUrl) url = newUrl
    }
  }

  /** Resolves to whether it was acknowledged. */
  async upload(url: string, version: string): Promise<boolean> {
    const file = wheel('demo', version)
    const sha256 = createHash('sha256').update(file.bytes).digest('hex')
    const askedMs = performance.now()
    const headers = { Authorization: `Basic ${this.#options.auth}` }
    const reply = await fetch(`${url}/ada/dev/`, { method: 'POST', body: uploadForm(file), headers, signal: AbortSignal.timeout(REPLY_TIMEOUT_MS) }).catch((error: unknown) => {
      if (String(error).includes('Timeout')) this.problems.push(`an upload to ${url} was not answered at all`)
      return undefined
    })
    const said = await reply?.text().catch(() => '')
    if (reply === undefined) return false
    if (!reply.ok) {
      if (!NO_PRIMARY.includes(reply.status)) this.problems.push(`an upload was answered with ${reply.status}: ${said}`)
      return false
    }
    const path = `/ada/dev/+f/${sha256.slice(0, 3)}/${sha256.slice(3, 16)}/${file.filename}`
    const serial = Number(reply.headers.get('X-DEVPI-SERIAL'))
    this.acknowledged.push({ filename: file.filename, path, sha256, serial, primary: reply.headers.get('X-DEVPI-PRIMARY-UUID') ?? '', url, askedMs, atMs: performance.now() })
    return true
  }

  /** The page, a file that the server had before, and one that it may still have to fetch. */
  async #keepReading(installer: number): Promise<void> {
    const { newUrl } = this.#options
    for (let at = installer; !this.#isStopped; at += 1) {
      await wait(PAUSE_MS)
      const page = await this.#read(newUrl + PAGE, { Accept: 'application/vnd.pypi.simple.v1+json' })
      if (page === undefined) continue
      const { files } = JSON.parse(page.body.toString()) as { files: readonly { readonly url: string; readonly hashes: { readonly sha256: string } }[] }
      const known = [...this.had.keys()]
      for (const path of [known[(at * 31) % Math.max(known.length, 1)], files[(at * 17) % Math.max(files.length, 1)]?.url]) {
        if (path !== undefined) await this.#readFile(new URL(path, newUrl + PAGE))
      }
    }
  }

  async #readFile({ href, pathname }: URL): Promise<void> {
    const before = this.had.get(pathname)
    const found = await this.#read(href.replace(/#.*/, ''), {}, before === undefined ? [503] : [])
    if (found === undefined) return
    if (before !== undefined && before !== found.sha256) this.problems.push(`${pathname} has other bytes than before`)
    this.had.set(pathname, found.sha256)
  }

  async #read(url: string, headers: Record<string, string>, others: readonly number[] = []): Promise<{ readonly body: Buffer; readonly sha256: string } | undefined> {
    try {
      const reply = await fetch(url, { headers, signal: AbortSignal.timeout(REPLY_TIMEOUT_MS) })
      const body = Buffer.from(await reply.arrayBuffer())
      this.reads += 1
      if (reply.status === 200) return { body, sha256: createHash('sha256').update(body).digest('hex') }
      if (!others.includes(reply.status)) this.problems.push(`${url} was answered with ${reply.status}: ${body.toString().slice(0, 200)}`)
    } catch (error) {
      this.problems.push(`${url} was not answered: ${String(error)}`)
    }
    return undefined
  }
}
