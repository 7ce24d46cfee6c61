import type { Readable } from 'node:stream'
import { Refusal } from '#log-format/api/refusal.js'
import type { Upstream, UpstreamClient, UpstreamReply } from './client.js'

/** Where downloads are kept; what it receives is kept only if it is committed. */
export interface DownloadStore {
  receive(
    stream: Readable,
    options: {
      readonly maxBytes: number
      readonly digests: readonly 'md5'[]
      readonly signal: AbortSignal
      readonly onWritten: (path: string, bytes: number) => void
    },
  ): Promise<AsyncDisposable & { readonly sha256: string; readonly size: number; readonly digests: { readonly md5?: string }; commit(): Promise<void> }>
}

export interface WantedFile {
  readonly upstream: Upstream
  readonly url: string
  /** As the upstream announced them. */
  readonly sha256?: string
  readonly md5?: string
  readonly size?: number
  /** Called with what was stored, before anybody is given the end of it. */
  readonly onStored?: (stored: { readonly sha256: string; readonly size: number }) => Promise<void>
}

/** How much of a file is here. */
export type DownloadProgress =
  /** The first bytes can be read from a file, which may go away once all are here. */
  | { readonly kind: 'partial'; readonly path: string; readonly bytes: number }
  | { readonly kind: 'whole'; readonly sha256: string; readonly size: number }

/** A file on its way from an upstream to the store. Its last byte is given to nobody before its digest is found right. */
export class FileDownload {
  /** In bytes, as the upstream said when it began to send; undefined if it did not. Rejects if it sends nothing. */
  readonly announcedSize: Promise<number | undefined>
  #progress: DownloadProgress | undefined
  #failure: { readonly error: unknown } | undefined
  #waiting: (() => void)[] = []

  constructor(client: UpstreamClient, store: DownloadStore, wanted: WantedFile, limits: { readonly maxBytes: number; readonly signal: AbortSignal }) {
    const opened = openFile(client, wanted, limits.signal)
    this.announcedSize = opened.then(({ size }) => size)
    this.announcedSize.catch(() => undefined)
    opened
      .then(({ reply, size }) => this.#store(store, wanted, reply, size, limits))
      .then(
        (whole) => { this.#progress = whole },
        (error: unknown) => { this.#failure = { error } },
      )
      .finally(() => { this.#wake() })
  }

  /** Resolves once there is more than the first `position` bytes. Rejects when the download failed. */
  async beyond(position: number): Promise<DownloadProgress> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.error
      const progress = this.#progress
      if (progress !== undefined && (progress.kind === 'whole' || progress.bytes > position)) return progress
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** Resolves when nothing goes on any more. */
  async settled(): Promise<void> {
    await this.beyond(Infinity).catch(() => undefined)
  }

  async #store(
    store: DownloadStore,
    wanted: WantedFile,
    { body, url }: UpstreamReply,
    size: number | undefined,
    { maxBytes, signal }: { readonly maxBytes: number; readonly signal: AbortSignal },
  ): Promise<DownloadProgress> {
    let written: string | undefined
    const readable = (path: string, bytes: number): void => {
      this.#progress = { kind: 'partial', path, bytes }
      this.#wake()
    }
    const onWritten = (path: string, bytes: number): void => {
      written = path
      readable(path, Math.min(bytes, size ?? Infinity) - 1)
    }
    try {
      const digests = wanted.md5 === undefined ? [] : (['md5'] as const)
      await using received = await store.receive(body, { maxBytes: Math.min(maxBytes, size ?? maxBytes), digests, signal, onWritten })
      checkContent(wanted, received, size)
      if (written !== undefined && wanted.onStored === undefined) readable(written, received.size) // it is right: nobody need wait for the disk
      await received.commit()
      await wanted.onStored?.({ sha256: received.sha256, size: received.size })
      return { kind: 'whole', sha256: received.sha256, size: received.size }
    } catch (error) {
      if (error instanceof Refusal && error.kind !== 'too-large') throw error
      throw new Refusal('upstream-failed', `what ${url.host} sent of the file is not all of it, or not what it announced`, { cause: error })
    } finally {
      body.destroy()
    }
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}

/** However slowly a file comes, it has come by then, or never will. */
const LONGEST_DOWNLOAD_MS = 60 * 60 * 1000

/** The downloads under way: one of each file, however many want it. */
export class FileDownloads implements AsyncDisposable {
  readonly #client: UpstreamClient
  readonly #store: DownloadStore
  readonly #maxBytes: number
  readonly #running = new Map<string, FileDownload>()
  readonly #stop = new AbortController()
  /** Downloads begun, and those of which the content was not what was announced, or not all of it. */
  readonly counts = { started: 0 }

  constructor(input: { readonly client: UpstreamClient; readonly store: DownloadStore; readonly maxBytes: number }) {
    this.#client = input.client
    this.#store = input.store
    this.#maxBytes = input.maxBytes
  }

  /** The download of a file, begun if it is not under way. */
  of(wanted: WantedFile): FileDownload {
    const name = `${wanted.sha256 ?? ''}\0${wanted.url}`
    const running = this.#running.get(name)
    if (running !== undefined) return running
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(LONGEST_DOWNLOAD_MS)])
    const download = new FileDownload(this.#client, this.#store, wanted, { maxBytes: this.#maxBytes, signal })
    this.counts.started += 1
    this.#running.set(name, download)
    void download.settled().then(() => this.#running.delete(name))
    return download
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Refusal('not-available', 'the server is shutting down'))
    await Promise.all([...this.#running.values()].map((download) => download.settled()))
  }
}

async function openFile(client: UpstreamClient, wanted: WantedFile, signal: AbortSignal): Promise<{ readonly reply: UpstreamReply; readonly size: number | undefined }> {
  const { upstream, url } = wanted
  const reply = await client.open({ upstream, url: new URL(url), headers: { accept: '*/*', 'accept-encoding': 'identity' }, signal })
  const fault = faultOf(reply)
  const length = reply.headers['content-length']
  const size = length === undefined ? undefined : Number(length)
  if (fault === undefined && (size === undefined || wanted.size === undefined || size === wanted.size)) return { reply, size: size ?? wanted.size }
  reply.body.destroy()
  if (reply.status === 404 || reply.status === 410) throw new Refusal('not-found', `${reply.url.host} has the file no more`)
  throw new Refusal('upstream-failed', `${reply.url.host} ${fault ?? 'sends a file of another size than announced'}`)
}

function faultOf({ status, headers }: UpstreamReply): string | undefined {
  if (status !== 200) return `answered ${status} for the file`
  const encoding = headers['content-encoding'] ?? 'identity'
  return encoding === 'identity' ? undefined : 'sends the file in an encoding that nobody asked for'
}

/** Refuses `upstream-failed` a content that is not the one announced. */
function checkContent(wanted: WantedFile, found: { readonly sha256: string; readonly size: number; readonly digests: { readonly md5?: string } }, size: number | undefined): void {
  const { url, sha256, md5 } = wanted
  const { host } = new URL(url)
  if (size !== undefined && found.size !== size) throw new Refusal('upstream-failed', `${host} sent ${found.size} bytes of a file of ${size}`)
  if (sha256 !== undefined && found.sha256 !== sha256) throw new Refusal('upstream-failed', `${host} sent a file with sha256 ${found.sha256}; announced was ${sha256}`)
  if (md5 !== undefined && sha256 === undefined && found.digests.md5 !== md5) throw new Refusal('upstream-failed', `${host} sent a file with another md5 than announced`)
}
