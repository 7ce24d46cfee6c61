import { execFile, spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const PYTHON = '/usr/bin/python3'

/** Settings with which a client that looks for anything beyond this machine fails at once. */
export const OFFLINE: NodeJS.ProcessEnv = {
  http_proxy: 'http://127.0.0.1:9',
  https_proxy: 'http://127.0.0.1:9',
  no_proxy: '127.0.0.1',
}

/** What a test with real clients may need, and how to see whether it is there. */
const CLIENTS = {
  twine: ['twine', '--version'],
  venv: [PYTHON, '-m', 'venv', '--help'],
  ensurepip: [PYTHON, '-c', 'import ensurepip'],
  build: [PYTHON, '-m', 'build', '--version'],
  setuptools: [PYTHON, '-c', 'import setuptools, wheel'],
  tox: ['tox', '--version'],
  flit: ['flit', '--version'],
  pdm: ['pdm', '--version'],
  'pdm-pep517': [PYTHON, '-c', 'import pdm.pep517'],
  pipenv: ['pipenv', '--version'],
  poetry: ['poetry', '--version'],
  git: ['git', '--version'],
  hg: ['hg', '--version'],
  bash: ['bash', '--version'],
  zsh: ['zsh', '--version'],
  fish: ['fish', '--version'],
  virtualenv: [PYTHON, '-m', 'virtualenv', '--version'],
  pytest: [PYTHON, '-c', 'import pytest'],
  flit_core: [PYTHON, '-c', 'import flit_core'],
} as const

export type RealClient = keyof typeof CLIENTS

/**
 * `test` where the clients are installed, else a test that is skipped and says
 * so. With `REQUIRE_REAL_CLIENTS` set it is run in any case, and fails.
 */
export function testWith(clients: readonly RealClient[]): typeof test {
  const missing = missingClients(clients)
  if (missing.length === 0 || process.env['REQUIRE_REAL_CLIENTS'] !== undefined) return test
  process.stderr.write(`skipping tests that need ${missing.join(', ')}; see README for the packages\n`)
  return test.skip
}

/** Those of them that are not installed here. */
export function missingClients(clients: readonly RealClient[]): RealClient[] {
  return clients.filter((client) => !isInstalled(client))
}

function isInstalled(client: RealClient): boolean {
  const [command, ...args] = CLIENTS[client]
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

export interface Finished {
  readonly code: number
  /** Both outputs. */
  readonly output: string
}

/** A folder to work in, with nothing of the machine's own pip, twine and tox settings. */
export class Workshop implements AsyncDisposable {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  static async open(): Promise<Workshop> {
    return new Workshop(await mkdtemp(join(tmpdir(), 'devpi-clients-')))
  }

  path(...parts: readonly string[]): string {
    return join(this.folder, ...parts)
  }

  /** Runs a program to its end, whatever that is. */
  run(command: string, args: readonly string[], options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {}): Promise<Finished> {
    return new Promise((resolve) => {
      const { cwd = this.folder, env = {} } = options
      execFile(command, args, { cwd, env: { ...this.environment, ...env }, maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
        resolve({ code, output: stdout + stderr })
      })
    })
  }

  /** Runs a program that has to succeed, and gives what it printed. */
  async succeed(command: string, args: readonly string[], options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {}): Promise<string> {
    const { code, output } = await this.run(command, args, options)
    if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${output}`)
    return output
  }

  /** Makes a virtual environment and gives the path of its pip. */
  async venv(name: string): Promise<string> {
    await this.succeed(PYTHON, ['-m', 'venv', this.path(name)])
    return this.path(name, 'bin', 'pip')
  }

  get environment(): NodeJS.ProcessEnv {
    const kept = Object.entries(process.env).filter(([name]) => !/^(PIP|TWINE|TOX|UV|FLIT|PDM|POETRY|VIRTUALENV|PYENV|PYTHON|npm|NODE)_?/.test(name))
    return {
      ...Object.fromEntries(kept),
      PATH: `/usr/bin:/bin:${process.env['PATH'] ?? ''}`,
      HOME: this.folder,
      PIP_CONFIG_FILE: '/dev/null',
      PIP_NO_CACHE_DIR: '1',
      PIP_DISABLE_PIP_VERSION_CHECK: '1',
      PIP_RETRIES: '0',
      TERM: 'dumb',
      NO_COLOR: '1',
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }
}
