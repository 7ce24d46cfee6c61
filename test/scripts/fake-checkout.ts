import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const REPOSITORY = join(import.meta.dirname, '../../..')

/** Stands for npm: writes down how it was called and "installs" the compiler. */
const FAKE_NPM = `
  import { appendFileSync, cpSync, mkdirSync, writeFileSync } from 'node:fs'
  appendFileSync('calls', process.argv.slice(2, 3) + '\\n')
  if (process.env.FAIL) process.exit(7)
  for (const folder of ['typescript-native/bin', 'jest/bin']) mkdirSync('node_modules/' + folder, { recursive: true })
  writeFileSync('node_modules/jest/bin/jest.js', '')
  cpSync('fake/tsc', 'node_modules/typescript-native/bin/tsc')
`

/** A compiler that writes down that it ran, and does as this CommonJS text says. */
function fakeCompiler(work: string): string {
  return `const fs = require('node:fs')\nfs.appendFileSync('calls', 'build\\n')\n${work}`
}

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Our scripts in a temporary folder of their own, with npm and the compiler replaced. */
export class FakeCheckout implements AsyncDisposable {
  readonly root: string

  private constructor(root: string) {
    this.root = root
  }

  /** `compile`: CommonJS with `fs` at hand, run in the folder; exits with 2 for sources that do not compile. */
  static async create(compile: string): Promise<FakeCheckout> {
    const checkout = new FakeCheckout(await mkdtemp(join(tmpdir(), 'set-up-')))
    for (const name of ['scripts', 'server/bin']) await cp(join(REPOSITORY, name), checkout.path(name), { recursive: true })
    await checkout.write('package.json', '{"type": "module", "bin": {"devpi-server": "server/bin/devpi-server.js"}}')
    await checkout.write('package-lock.json', '{}')
    await checkout.write('fake/npm-cli.js', FAKE_NPM)
    await checkout.write('fake/tsc', fakeCompiler(compile))
    return checkout
  }

  path(...parts: readonly string[]): string {
    return join(this.root, ...parts)
  }

  /** Nobody sees half of it. */
  async write(name: string, text: string): Promise<void> {
    await mkdir(dirname(this.path(name)), { recursive: true })
    await writeFile(this.path('new-file'), text)
    await rename(this.path('new-file'), this.path(name))
  }

  remove(name: string): Promise<void> {
    return rm(this.path(name), { recursive: true, force: true })
  }

  /** Lets the folder use a package that is really installed. */
  async link(name: string): Promise<void> {
    await mkdir(this.path('node_modules'), { recursive: true })
    await symlink(join(REPOSITORY, 'node_modules', name), this.path('node_modules', name))
  }

  /** What npm and the compiler were called for so far. */
  async calls(): Promise<string[]> {
    return (await readFile(this.path('calls'), 'utf8')).trim().split('\n')
  }

  spawn(script: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
    return spawn(process.execPath, [script, ...args], {
      cwd: this.root,
      env: { PATH: process.env['PATH'], npm_execpath: this.path('fake/npm-cli.js'), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  /** Runs a script to its end. */
  async run(script: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    const child = this.spawn(script, args, env)
    let stdout = ''
    let stderr = ''
    child.stdout?.on('data', (data) => (stdout += String(data)))
    child.stderr?.on('data', (data) => (stderr += String(data)))
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, stdout, stderr }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true, force: true })
  }
}
