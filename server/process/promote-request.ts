import { randomBytes } from 'node:crypto'
import { watch } from 'node:fs'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Refusal } from '#log-format/api/refusal.js'
import type { Logger } from './logger.js'
import type { PromoteOptions } from './node-role.js'

/** How often who asks looks whether there is an answer. */
const LOOK_MS = 100
/** How often a server looks whether it is asked, even if its system tells of no change in the folder. */
const LOOK_ANYHOW_MS = 2000
const ANSWER_TIMEOUT_MS = 30_000

/** What became of it, in a sentence. */
export interface PromoteAnswer {
  readonly isDone: boolean
  readonly sentence: string
}

/** Behind the id of a request. */
const ACCEPT_LOST_SECRETS = 'accept-lost-secrets'

const REQUEST_FILE = 'promote.request'
const ANSWER_FILE = 'promote.answer'

/**
 * Asks the server that runs on a server directory to become the primary, by a
 * file there: so may who may write there, and nobody over the network. Refuses
 * `not-available` when nobody answers; the request is taken back then.
 */
export async function askToPromote(serverDir: string, { lostSecrets }: PromoteOptions, timeoutMs = ANSWER_TIMEOUT_MS): Promise<PromoteAnswer> {
  const id = randomBytes(16).toString('hex')
  const request = join(serverDir, REQUEST_FILE)
  const text = lostSecrets === 'accept' ? `${id} ${ACCEPT_LOST_SECRETS}` : id
  await placeFile(request, text)
  const endMs = performance.now() + timeoutMs
  while (performance.now() < endMs) {
    const found = answerOf(await textOf(join(serverDir, ANSWER_FILE)), id)
    if (found !== undefined) {
      await rm(join(serverDir, ANSWER_FILE), { force: true })
      return found
    }
    await wait(LOOK_MS)
  }
  if ((await textOf(request)) === text) await rm(request, { force: true })
  throw new Refusal('not-available', `the server that runs on ${serverDir} does not answer; see its log file, stop it, and run this again`)
}

/** Answers requests until it is disposed. Those of before are taken away: nobody waits for them any more. */
export class PromoteRequests implements AsyncDisposable {
  readonly #serverDir: string
  readonly #promote: (options: PromoteOptions) => Promise<string>
  readonly #logger: Logger
  readonly #stop = new AbortController()
  readonly #running: Promise<void>
  #isChanged = false
  /** What could not be done last, and was told. */
  #told = ''
  #wake: () => void = () => undefined

  constructor(serverDir: string, promote: (options: PromoteOptions) => Promise<string>, logger: Logger) {
    this.#serverDir = serverDir
    this.#promote = promote
    this.#logger = logger
    this.#running = this.#run()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    this.#wake()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    await this.#noting('begin', async () => {
      await rm(join(this.#serverDir, REQUEST_FILE), { force: true })
      await rm(join(this.#serverDir, ANSWER_FILE), { force: true })
    })
    this.#watch()
    while (!signal.aborted) {
      this.#isChanged = false
      await this.#look()
      await this.#change()
    }
  }

  async #look(): Promise<void> {
    const request = join(this.#serverDir, REQUEST_FILE)
    const [, id, option] = /^([0-9a-f]{32})(?: (\S+))?$/.exec((await textOf(request)) ?? '') ?? []
    if (id === undefined) return
    await this.#noting(id, async () => {
      await rm(request, { force: true })
      await this.#answer(id, { lostSecrets: option === ACCEPT_LOST_SECRETS ? 'accept' : 'refuse' })
    })
  }

  /**
   * A folder that takes no files, as on a full disk, ends neither this nor the server. Told once of each
   * request: one that cannot be taken away is met again whenever the folder changes, as by a log file in it.
   */
  async #noting(what: string, step: () => Promise<void>): Promise<void> {
    try {
      await step()
    } catch (error) {
      if (this.#told === what) return
      this.#told = what
      this.#logger.error({ err: error }, `requests to be promoted cannot be answered in ${this.#serverDir}`)
    }
  }

  /** Looking ten times a second costs an idle server more than all the rest it does. */
  #watch(): void {
    try {
      const watcher = watch(this.#serverDir, { persistent: false, signal: this.#stop.signal })
      watcher.on('error', () => undefined).on('change', () => {
        this.#isChanged = true
        this.#wake()
      })
    } catch {
      // Too many folders are watched on this machine: it looks anyhow.
    }
  }

  /** Resolves when there may be a request. */
  async #change(): Promise<void> {
    if (this.#isChanged || this.#stop.signal.aborted) return
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, LOOK_ANYHOW_MS).unref()
      this.#wake = resolve
    })
    clearTimeout(timer)
  }

  async #answer(id: string, options: PromoteOptions): Promise<void> {
    let answer: PromoteAnswer
    try {
      answer = { isDone: true, sentence: await this.#promote(options) }
    } catch (error) {
      if (!(error instanceof Refusal)) this.#logger.error({ err: error }, 'the server could not be promoted')
      answer = { isDone: false, sentence: error instanceof Refusal ? error.message : 'the server could not be promoted; see its log file' }
    }
    await placeFile(join(this.#serverDir, ANSWER_FILE), JSON.stringify({ id, ...answer }))
  }
}

async function placeFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 })
  await rename(`${path}.new`, path)
}

/** The beginning of a small file; undefined where there is none. */
async function textOf(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined)
}

function answerOf(text: string | undefined, id: string): PromoteAnswer | undefined {
  if (text === undefined) return undefined
  try {
    const { id: answered, isDone, sentence } = JSON.parse(text) as Partial<PromoteAnswer> & { readonly id?: unknown }
    return answered === id && typeof isDone === 'boolean' && typeof sentence === 'string' ? { isDone, sentence } : undefined
  } catch {
    return undefined
  }
}
