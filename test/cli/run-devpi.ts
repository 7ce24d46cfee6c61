import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { parseJson } from '#cli/json.js'
import { main } from '#cli/main.js'

const BIN = join(import.meta.dirname, '../../../cli/bin/devpi.js')

export interface Ran {
  readonly code: number
  readonly out: readonly string[]
  readonly err: readonly string[]
  /** The document of `--json`; undefined for anything else. */
  readonly json: unknown
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly input?: string
  /** Somebody sits there and types `input`. */
  readonly interactive?: boolean
  readonly interrupted?: AbortSignal
  /** Both outputs are those of a terminal, so wide. */
  readonly columns?: number
}

/** A home of its own, in which commands run: in this process, or, for what only a process shows, in one of their own. */
export class DevpiHome implements AsyncDisposable {
  readonly folder: string
  readonly #awaited = new Map<string, () => void>()

  private constructor(folder: string) {
    this.folder = folder
  }

  static async open(): Promise<DevpiHome> {
    return new DevpiHome(await mkdtemp(join(tmpdir(), 'devpi-home-')))
  }

  path(...parts: readonly string[]): string {
    return join(this.folder, ...parts)
  }

  /** Words are separated by blanks; a list is taken as it is. */
  async run(line: string | readonly string[], options: RunOptions = {}): Promise<Ran> {
    let out = ''
    let err = ''
    const input = Readable.from(options.input === undefined ? [] : [Buffer.from(options.input)])
    const code = await main(wordsOf(line), {
      env: { ...this.#environment, ...options.env },
      cwd: options.cwd ?? this.folder,
      input,
      terminals: { input: options.interactive === true, out: options.columns !== undefined, err: options.columns !== undefined },
      columns: options.columns ?? 80,
      writeOut: (text) => {
        out += text
        this.#notice(text)
      },
      writeErr: (text) => {
        err += text
        this.#notice(text)
      },
      interrupted: options.interrupted ?? new AbortController().signal,
      unread: new AbortController().signal,
      now: Date.now,
    })
    return checked(ranOf(code, out, err), wordsOf(line), options, out)
  }

  /** Fails unless it succeeds; gives the lines of the result. */
  async succeed(line: string | readonly string[], options: RunOptions = {}): Promise<readonly string[]> {
    const { code, out, err } = await this.run(line, options)
    if (code !== 0) throw new Error(`devpi ${wordsOf(line).join(' ')} ended with ${code}:\n${[...out, ...err].join('\n')}`)
    return out
  }

  /** Until a command of this process prints that. */
  until(text: string): Promise<void> {
    return new Promise((resolve) => this.#awaited.set(text, resolve))
  }

  #notice(text: string): void {
    for (const [wanted, resolve] of this.#awaited) if (text.includes(wanted)) resolve()
  }

  /** As a shell would start it. */
  spawn(line: string | readonly string[], options: RunOptions = {}): Promise<Ran> {
    return new Promise((resolve) => {
      const env = { PATH: process.env['PATH'], ...this.#environment, ...options.env }
      const child = execFile(process.execPath, [BIN, ...wordsOf(line)], { cwd: options.cwd ?? this.folder, env }, (error, stdout, stderr) => {
        resolve(ranOf(error === null ? 0 : Number(error.code), stdout, stderr))
      })
      child.stdin?.end(options.input ?? '')
    })
  }

  get #environment(): NodeJS.ProcessEnv {
    return { HOME: this.folder, PATH: process.env['PATH'], TERM: 'dumb', PIP_CONFIG_FILE: '' }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }
}

function wordsOf(line: string | readonly string[]): readonly string[] {
  return typeof line === 'string' ? line.split(' ').filter((word) => word !== '') : line
}

/** Whatever any test lets a command print with `--json` has to be described. */
async function checked(ran: Ran, words: readonly string[], { env }: RunOptions, out: string): Promise<Ran> {
  if (!words.includes('--json') && env?.['DEVPI_JSON'] === undefined) return ran
  const { jsonFaults } = await import('./printed-json.js')
  const faults = jsonFaults(words, out)
  if (faults.length > 0) throw new Error(faults.join('\n'))
  return ran
}

function ranOf(code: number, out: string, err: string): Ran {
  return { code, out: linesOf(out), err: linesOf(err), json: parseJson(out) }
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n')
}
