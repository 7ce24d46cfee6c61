import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LinePatterns } from './line-pattern.js'

/** Of a server that is told none. */
export const USUAL_PORT = 3141
/** Far longer than any command takes: one that hangs is ended. */
const LONGEST_COMMAND_MS = 180_000

/** What a command printed, both outputs in the order in which they came. */
export interface Printed {
  readonly code: number
  readonly lines: readonly string[]
  readonly seconds: number
}

/** What playgrounds lie on: see `workbench.ts`. */
export interface Bench {
  /** A path below its folder. */
  path(...parts: readonly string[]): string
  readonly venv: string
  readonly environment: NodeJS.ProcessEnv
  /** The simple index that stands for the public one. */
  readonly publicIndex: string
}

export interface PlaygroundOptions {
  /** Of the folder on the workbench. */
  readonly name: string
  /** Of the server that the commands start. */
  readonly port: number
}

/** The home of a user who follows the quickstart: empty to begin with, with a server on a port of its own. */
export class Playground implements AsyncDisposable {
  readonly bench: Bench
  readonly home: string
  readonly port: number
  readonly patterns: LinePatterns
  #runs = 0

  private constructor(bench: Bench, { name, port }: PlaygroundOptions) {
    this.bench = bench
    this.home = bench.path(name, 'home')
    this.port = port
    this.patterns = new LinePatterns({ B: this.url, port: String(port), 'with-port': port === USUAL_PORT ? '' : ` --port ${port}`, home: this.home, project: this.project, tmp: this.tmp, repo: this.repository, venv: bench.venv })
  }

  static async open(bench: Bench, options: PlaygroundOptions): Promise<Playground> {
    const playground = new Playground(bench, options)
    for (const folder of [playground.home, playground.tmp, playground.#output]) await mkdir(folder, { recursive: true })
    return playground
  }

  get url(): string {
    return `http://localhost:${this.port}`
  }

  /** The project lies below the top of its repository. */
  get repository(): string {
    return join(this.home, 'work')
  }

  get project(): string {
    return join(this.repository, 'example')
  }

  /** Where commands put what they need for a while. */
  get tmp(): string {
    return join(this.home, '../tmp')
  }

  get #output(): string {
    return join(this.home, '../output')
  }

  get environment(): NodeJS.ProcessEnv {
    return {
      ...this.bench.environment,
      HOME: this.home,
      USER: 'testuser',
      TMPDIR: this.tmp,
      DEVPISERVER_ALLOW_PRIVATE_UPSTREAM: '127.0.0.1',
    }
  }

  /** Runs a line as a shell would; a file takes both outputs, so their order is kept. */
  async run(line: string, at: 'home' | 'project'): Promise<Printed> {
    const path = join(this.#output, String((this.#runs += 1)))
    const file = await open(path, 'a')
    try {
      const start = performance.now()
      const command = this.patterns.fill(line)
      const child = spawn('/bin/sh', ['-c', command], { cwd: this[at], env: this.environment, stdio: ['ignore', file.fd, file.fd], timeout: LONGEST_COMMAND_MS })
      const [code] = (await once(child, 'exit')) as [number | null]
      const text = await readFile(path, 'utf8')
      return { code: code ?? 1, lines: text.replace(/\n$/, '').split(/\r?\n/), seconds: (performance.now() - start) / 1000 }
    } finally {
      await file.close()
    }
  }

  /** Runs a line whose success is a matter of course. */
  async succeed(line: string, at: 'home' | 'project'): Promise<void> {
    const { code, lines } = await this.run(line, at)
    if (code !== 0) throw new Error(`${line} ended with ${code}:\n${lines.join('\n')}`)
  }

  /** A reply of the server that was started. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(this.url + path, { redirect: 'manual', headers: { Accept: 'application/json', ...init.headers }, ...init })
  }

  /** The `result` of a document; undefined when there is none. */
  async result(path: string): Promise<Readonly<Record<string, unknown>> | undefined> {
    const reply = await this.fetch(path)
    const document: unknown = reply.ok ? await reply.json() : undefined
    const result: unknown = typeof document === 'object' && document !== null && 'result' in document ? document.result : undefined
    return typeof result === 'object' && result !== null ? { ...result } : undefined
  }

  /** Lets `root/pypi` of the server mirror the index of the workbench, which stands for the public one. */
  async mirrorPublicIndex(): Promise<void> {
    const reply = await this.fetch('/root/pypi', {
      method: 'PATCH',
      headers: { Authorization: `Basic ${Buffer.from('root:').toString('base64')}`, 'Content-Type': 'application/json' },
      body: JSON.stringify([`mirror_url=${this.bench.publicIndex}`]),
    })
    if (!reply.ok) throw new Error(`root/pypi cannot be changed: ${await reply.text()}`)
  }

  /** Whether anything listens on the port. */
  async isServing(): Promise<boolean> {
    return this.fetch('/+api').then(() => true, () => false)
  }

  /** Stops the server that the commands started, if one still runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (await this.isServing()) await this.run('devpi-server --stop', 'home')
  }
}
