import { readdir } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from './base-command.js'
import { isArchiveName, readDistribution } from './dist-metadata.js'
import { Failure } from './failure.js'
import type { IndexTarget } from './place.js'
import { systemFailure } from './system-faults.js'
import { digestOf, PASSING, type Uploaded, uploadFiles } from './upload-files.js'

export interface WatchOptions {
  readonly folder: string
  /** Files that are there already are not meant. */
  readonly newOnly: boolean
  /** Upload what is there, and end. */
  readonly once: boolean
  /** How often to look, for file systems that tell nothing; undefined where they do. */
  readonly pollMs: number | undefined
}

export interface WatchSummary {
  readonly uploaded: number
  readonly failed: number
  readonly events: readonly WatchEvent[]
}

/** What happened to one file. */
interface WatchEvent {
  readonly event: 'uploaded' | 'skipped' | 'failed'
  readonly file: string
  readonly sha256: string
  readonly status: number | null
  readonly reason?: string
}

/** A file is whole when its size and time stay for so long. */
const STABLE_MS = 1000
const CHECK_MS = 100
const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 30_000
const UNFINISHED = /(^\.|\.(tmp|part|partial|crdownload)$|~$)/i

/**
 * Uploads every archive of a folder once it is completely written, each
 * content once. A server that is away is waited for; a file that is refused is told of, and tried
 * again when it changes. Goes on until interrupted, or until nobody reads on.
 */
export async function watchFolder(context: Context, target: IndexTarget, options: WatchOptions): Promise<WatchSummary> {
  const events: WatchEvent[] = []
  const tell = (event: WatchEvent): void => {
    if (options.once) events.push(event)
    else if (context.terminal.json) context.surroundings.writeOut(`${JSON.stringify(event)}\n`)
  }
  const ended = AbortSignal.any([context.surroundings.interrupted, context.surroundings.unread])
  const queue = new UploadQueue(context, target, { told: tell, isPatient: !options.once, ended })
  if (options.once) {
    for (const name of (await readdir(options.folder)).sort()) if (isMeant(name)) queue.add(resolve(options.folder, name))
    return { ...(await queue.drained()), events }
  }
  const { watch } = await import('chokidar')
  const watcher = watch(options.folder, {
    ignoreInitial: options.newOnly,
    awaitWriteFinish: { stabilityThreshold: STABLE_MS, pollInterval: CHECK_MS },
    ignored: (path, stats) => stats?.isFile() === true && !isMeant(basename(path)),
    ...(options.pollMs !== undefined && { usePolling: true, interval: options.pollMs }),
  })
  const add = (path: string): void => queue.add(path)
  watcher.on('add', add).on('change', add)
  watcher.on('ready', () => context.terminal.note(`watching ${options.folder}, end with Ctrl-C`))
  watcher.on('error', (error) => context.terminal.error(`${options.folder}: ${error instanceof Error ? error.message : 'cannot be watched'}`))
  try {
    await untilAborted(ended)
  } finally {
    await watcher.close()
  }
  return { ...(await queue.drained()), events }
}

function isMeant(name: string): boolean {
  return isArchiveName(name) && !UNFINISHED.test(name)
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done()
    else signal.addEventListener('abort', () => done(), { once: true })
  })
}

interface QueueOptions {
  readonly told: (event: WatchEvent) => void
  /** Waits for a server that is away. */
  readonly isPatient: boolean
  readonly ended: AbortSignal
}

/** One file after the other, in the order in which they were complete. */
class UploadQueue {
  readonly #context: Context
  readonly #target: IndexTarget
  readonly #told: (event: WatchEvent) => void
  readonly #isPatient: boolean
  readonly #ended: AbortSignal
  readonly #done = new Set<string>()
  #work: Promise<void> = Promise.resolve()
  #uploaded = 0
  #failed = 0

  constructor(context: Context, target: IndexTarget, { told, isPatient, ended }: QueueOptions) {
    this.#context = context
    this.#target = target
    this.#told = told
    this.#isPatient = isPatient
    this.#ended = ended
  }

  add(path: string): void {
    this.#work = this.#work.then(() => this.#upload(path))
  }

  async drained(): Promise<Pick<WatchSummary, 'uploaded' | 'failed'>> {
    await this.#work
    return { uploaded: this.#uploaded, failed: this.#failed }
  }

  async #upload(path: string): Promise<void> {
    const { terminal } = this.#context
    if (this.#ended.aborted) return
    try {
      const file = await readDistribution(path, this.#ended)
      const key = `${file.filename} ${await digestOf(path, this.#ended)}`
      if (this.#done.has(key)) return
      const [result] = await this.#untilAnswered(() => uploadFiles(this.#context, this.#target, [file], { jobs: 1, dryRun: false, skipExisting: true }))
      if (result === undefined) return
      this.#tell(result)
      if (result.ok) this.#done.add(key)
    } catch (error) {
      if (this.#ended.aborted) return
      // Nothing ends the watch: a file may be gone by now, or closed to us.
      const { message, hint } = error instanceof Failure ? error : (systemFailure(error) ?? new Failure('UPLOAD_FAILED', `${path}: ${error instanceof Error ? error.message : 'unknown fault'}`))
      terminal.error(message)
      if (hint !== undefined) terminal.note(hint)
      this.#tell({ file: path, action: 'file_upload', status: null, ok: false, reason: message, sha256: '', skipped: false, attestations: 0 })
    }
  }

  /** Tries as long as nobody answers, or only a proxy in front of a server that is away, at growing distances. */
  async #untilAnswered(upload: () => Promise<readonly Uploaded[]>): Promise<readonly Uploaded[]> {
    for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
      let fault: string
      try {
        const results = await upload()
        const away = results.find(({ status }) => status !== null && PASSING.includes(status))
        if (away === undefined || !this.#isPatient) return results
        fault = `${away.status ?? ''} ${away.reason},`
      } catch (error) {
        if (!this.#isPatient || !(error instanceof Failure) || !isPassing(error)) throw error
        fault = error.message.split('\n')[0] ?? ''
      }
      this.#context.terminal.warn(`${fault} trying again in ${waitMs / 1000} s`)
      await sleep(waitMs, undefined, { signal: this.#ended })
    }
  }

  #tell(result: Uploaded): void {
    if (result.ok && !result.skipped) this.#uploaded += 1
    if (!result.ok) this.#failed += 1
    const event = result.skipped ? 'skipped' : result.ok ? 'uploaded' : 'failed'
    this.#told({ event, file: result.file, sha256: result.sha256, status: result.status, ...(!result.ok && { reason: result.reason }) })
  }
}

function isPassing({ code, request }: Failure): boolean {
  return code === 'CONNECT' || PASSING.includes(request?.status ?? 0)
}
