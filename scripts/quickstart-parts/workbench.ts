import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CloseStack } from '#server/process/close-stack.js'
import { ROOT } from '#test/support/child-server.js'
import { PYTHON, type RealClient } from '#test/support/real-clients.js'
import { startServer, type TestServer } from '#test/support/server.js'
import type { Bench } from './playground.js'

/** Programs without which nothing can be performed. */
export const NEEDED = ['git', 'tox', 'build', 'virtualenv', 'setuptools', 'pytest', 'flit_core'] as const satisfies readonly RealClient[]

const WHEELS = join(ROOT, 'scripts/quickstart-parts/installed-wheels.py')
/** What the environment of the user has from the start, and what the quickstart installs and builds with. */
const TOOLS = ['build', 'virtualenv']
const PACKAGES = ['pip', 'setuptools', 'wheel', 'flit_core', 'pytest']

/**
 * What all performances share: an index of our own with the packages that are
 * installed on this machine, which stands for the public one, and a virtual environment with pip and build.
 */
export class Workbench implements Bench, AsyncDisposable {
  readonly folder: string
  /** The simple index of everything there is. */
  readonly publicIndex: string
  readonly #server: TestServer
  #closing = new CloseStack()

  private constructor(folder: string, server: TestServer) {
    this.folder = folder
    this.#server = server
    this.publicIndex = `${server.url}/public/all/+simple/`
  }

  /** With `keep` the folder stays when all is done, to be looked at. */
  static async open({ keep = false }: { readonly keep?: boolean } = {}): Promise<Workbench> {
    await using stack = new CloseStack()
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'devpi-quickstart-')))
    if (!keep) stack.defer(() => rm(folder, { recursive: true, force: true }))
    const bench = new Workbench(folder, stack.use(await startServer()))
    await bench.#fillIndex()
    await bench.#makeVenv()
    await bench.#linkPrograms()
    bench.#closing = stack.move()
    return bench
  }

  path(...parts: readonly string[]): string {
    return join(this.folder, ...parts)
  }

  get venv(): string {
    return this.path('venv')
  }

  /** Nothing of the machine's own settings; whatever asks for another machine fails at once. */
  get environment(): NodeJS.ProcessEnv {
    return {
      PATH: [this.path('bin'), join(this.venv, 'bin'), '/usr/bin', '/bin'].join(':'),
      LANG: 'C.UTF-8',
      TERM: 'dumb',
      NO_COLOR: '1',
      http_proxy: 'http://127.0.0.1:9',
      https_proxy: 'http://127.0.0.1:9',
      no_proxy: 'localhost,127.0.0.1',
      PIP_INDEX_URL: this.publicIndex,
      PIP_DISABLE_PIP_VERSION_CHECK: '1',
      PIP_NO_COMPILE: '1',
      PIP_RETRIES: '0',
      VIRTUALENV_NO_DOWNLOAD: '1',
      VIRTUALENV_NO_PERIODIC_UPDATE: '1',
      VIRTUALENV_SYMLINK_APP_DATA: '1',
      VIRTUALENV_OVERRIDE_APP_DATA: this.path('virtualenv'),
    }
  }

  /** Takes what an earlier performance installed out of the environment again. */
  async clear(): Promise<void> {
    if (!existsSync(join(this.venv, 'bin/pytest'))) return
    await this.#succeed(join(this.venv, 'bin/pip'), ['uninstall', '-q', '-y', 'pytest', 'example'])
  }

  async #fillIndex(): Promise<void> {
    const wheels = this.path('wheels')
    await mkdir(wheels)
    await this.#succeed(PYTHON, [WHEELS, wheels, ...TOOLS, ...PACKAGES])
    const owner = await this.#server.signUp('public', { all: {} })
    for (const filename of await readdir(wheels)) {
      const reply = await owner.upload('all', { filename, bytes: await readFile(join(wheels, filename)) })
      if (!reply.ok) throw new Error(`${filename} was not taken: ${await reply.text()}`)
    }
  }

  async #makeVenv(): Promise<void> {
    await this.#succeed(PYTHON, ['-m', 'virtualenv', '-q', this.venv])
    await this.#succeed(join(this.venv, 'bin/pip'), ['install', '-q', ...TOOLS])
  }

  /** The commands of this checkout, and the Node that runs them. */
  async #linkPrograms(): Promise<void> {
    await mkdir(this.path('bin'))
    await symlink(process.execPath, this.path('bin/node'))
    await symlink(join(ROOT, 'cli/bin/devpi.js'), this.path('bin/devpi'))
    for (const name of ['devpi-server', 'devpi-init']) await symlink(join(ROOT, `server/bin/${name}.js`), this.path('bin', name))
  }

  async #succeed(command: string, args: readonly string[]): Promise<void> {
    const env = { ...this.environment, HOME: this.folder }
    await new Promise<void>((resolve, reject) => {
      execFile(command, args, { cwd: this.folder, env }, (error, stdout, stderr) => {
        if (error === null) resolve()
        else reject(new Error(`${command} ${args.join(' ')} failed:\n${stdout}${stderr}`))
      })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#closing[Symbol.asyncDispose]()
  }
}
