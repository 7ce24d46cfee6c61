import type { Readable } from 'node:stream'
import { Refusal } from '#log-format/api/refusal.js'
import type { Upstream, UpstreamClient, UpstreamReply } from './client.js'
import { ContinuedFile, type FilePlace } from './continued-file.js'
import { DownloadSlots } from './download-slots.js'
import { type Download, Downloads, type DownloadSteps } from './downloads.js'

/** Where downloads are kept; what it receives is kept only if it is committed. */
export interface DownloadStore {
  receive(
    stream: Readable,
    options: {
      readonly maxBytes: number
      readonly digests: readonly 'md5'[]
      readonly signal: AbortSignal
      readonly onWritten: (path: string, bytes: number, last: readonly Uint8Array[]) => void
    },
  ): Promise<AsyncDisposable & { readonly sha256: string; readonly size: number; readonly digests: { readonly md5?: string }; commit(): Promise<void> }>
}

export interface WantedFile {
  /** Another one than for all other files; whatever it shows itself with, it is this node that asks, and not for anybody. */
  readonly client?: UpstreamClient
  readonly upstream: Upstream
  readonly url: string
  /** How long the other side may take to begin, where that is shorter than for others. */
  readonly answerMs?: number
  /** Where else this very file can be had, for what is left of it when it breaks off; only of a file with a sha256. */
  readonly elsewhere?: () => AsyncIterable<FilePlace>
  /** For whom: tells apart those of whom each has to be told what was stored. */
  readonly owner: string
  /** As the upstream announced them. */
  readonly sha256?: string
  readonly md5?: string
  readonly size?: number
  /** Called with what was stored, before anybody is given the end of it. */
  readonly onStored?: (stored: { readonly sha256: string; readonly size: number }) => Promise<void>
}

/** The downloads under way from upstreams: one of each file, however many want it. */
export class FileDownloads implements AsyncDisposable {
  readonly #client: UpstreamClient
  readonly #store: DownloadStore
  readonly #maxBytes: number
  readonly #onStored: ((bytes: number) => void) | undefined
  readonly #downloads = new Downloads()
  readonly #slots = new DownloadSlots()
  #continued = 0

  /** `onStored` is told the size of each file that was stored. */
  constructor(input: { readonly client: UpstreamClient; readonly store: DownloadStore; readonly maxBytes: number; readonly onStored?: (bytes: number) => void }) {
    this.#onStored = input.onStored
    this.#client = input.client
    this.#store = input.store
    this.#maxBytes = input.maxBytes
  }

  /** Since the start: those of `Downloads`, and how often one that broke off went on. */
  get counts(): Downloads['counts'] & { readonly continued: number } {
    return { ...this.#downloads.counts, continued: this.#continued }
  }

  /** The download of a file, begun if it is not under way. */
  of(wanted: WantedFile): Download {
    return this.#downloads.of(nameOf(wanted), (steps, signal) => this.#fetch(wanted, steps, signal))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#downloads[Symbol.asyncDispose]()
  }

  async #fetch(wanted: WantedFile, steps: DownloadSteps, signal: AbortSignal): Promise<{ readonly sha256: string; readonly size: number }> {
    using _ = await this.#slots.take(wanted.url, signal)
    const client = wanted.client ?? this.#client
    const { reply, size } = await openFile(client, wanted, signal)
    const { sha256, md5, elsewhere, answerMs } = wanted
    using file = new ContinuedFile({ client, place: wanted, reply, size, hasDigest: (sha256 ?? md5) !== undefined, elsewhere, answerMs, signal, onContinued: () => { this.#continued += 1 } })
    steps.begun(size)
    try {
      const digests = md5 === undefined ? [] : (['md5'] as const)
      const maxBytes = Math.min(this.#maxBytes, size ?? this.#maxBytes)
      const onWritten = (path: string, bytes: number, last: readonly Uint8Array[]): void => { steps.written(path, bytes, last) }
      await using received = await this.#store.receive(file.stream, { maxBytes, digests, signal, onWritten })
      checkContent(wanted, received, size)
      if (wanted.onStored === undefined) steps.verified(received.size)
      await received.commit()
      await wanted.onStored?.({ sha256: received.sha256, size: received.size })
      this.#onStored?.(received.size)
      return { sha256: received.sha256, size: received.size }
    } catch (error) {
      if (error instanceof Refusal && error.kind !== 'too-large') throw error
      throw new Refusal('upstream-failed', `what ${reply.url.host} sent of the file is not all of it, or not what it announced`, { cause: error })
    }
  }
}

/** Of a download. Who may not ask the upstream for a file, or others for the rest of it, by himself does not get it out of what another one asked for. */
function nameOf({ client, upstream, url, owner, sha256, md5, size, onStored, answerMs, elsewhere }: WantedFile): string {
  const { username, password } = (client === undefined ? upstream.credentials : undefined) ?? {}
  return JSON.stringify([url, sha256, md5, size, username !== undefined && [upstream.url.origin, username, password], (onStored ?? elsewhere) !== undefined && owner, answerMs])
}

async function openFile(client: UpstreamClient, wanted: WantedFile, signal: AbortSignal): Promise<{ readonly reply: UpstreamReply; readonly size: number | undefined }> {
  const { upstream, url, answerMs } = wanted
  const limits = { signal, ...(answerMs !== undefined && { answerMs }) }
  const reply = await client.open({ upstream, url: new URL(url), headers: { accept: '*/*', 'accept-encoding': 'identity' }, ...limits })
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
