import { existsSync } from 'node:fs'
import { delimiter, isAbsolute, join } from 'node:path'
import type { Context } from './base-command.js'
import { Failure } from './failure.js'
import { expandPath } from './session.js'

const BIN = process.platform === 'win32' ? 'Scripts' : 'bin'
const EXTENSIONS = process.platform === 'win32' ? ['.exe', '.cmd', '.bat', ''] : ['']

/** A virtual environment, and who chose it. */
export interface Venv {
  readonly folder: string
  readonly from: 'flag' | 'active' | 'stored'
}

/** What was named, else the active one, else the remembered one. Fails with `CONFIG` for one that is not there. */
export function findVenv({ session, env, cwd }: Pick<Context, 'session' | 'env' | 'cwd'>, named?: string): Venv | undefined {
  if (named !== undefined && named !== '-') return { folder: locateVenv(named, env, cwd), from: 'flag' }
  const active = env['VIRTUAL_ENV']
  if (active !== undefined && active !== '') return existing({ folder: active, from: 'active' })
  return session.venv === undefined ? undefined : existing({ folder: session.venv, from: 'stored' })
}

/** By path, or by name below `WORKON_HOME`; absolute. */
export function locateVenv(named: string, env: NodeJS.ProcessEnv, cwd: string): string {
  const path = expandPath(named, env, cwd)
  if (isVenv(path)) return path
  const home = env['WORKON_HOME']
  if (home !== undefined && !isAbsolute(named)) {
    const below = join(expandPath(home, env, cwd), named)
    if (isVenv(below)) return below
  }
  throw new Failure('CONFIG', `No virtualenv found at: '${path}'`, { hint: `make one with \`python3 -m venv ${named}\`` })
}

function existing(venv: Venv): Venv {
  if (isVenv(venv.folder)) return venv
  throw new Failure('CONFIG', `No virtualenv found at: '${venv.folder}'`, {
    hint: venv.from === 'stored' ? 'unset it with `devpi use --venv -`' : 'check VIRTUAL_ENV in your environment',
  })
}

function isVenv(path: string): boolean {
  return existsSync(join(path, BIN))
}

/** A program of the virtual environment, else the first on `PATH`; undefined when there is none. */
export function findProgram(name: string, venv: Venv | undefined, env: NodeJS.ProcessEnv): string | undefined {
  const folders = [...(venv === undefined ? [] : [join(venv.folder, BIN)]), ...(env['PATH'] ?? '').split(delimiter)]
  for (const folder of folders.filter((one) => one !== '')) {
    for (const extension of EXTENSIONS) {
      const path = join(folder, name + extension)
      if (existsSync(path)) return path
    }
  }
  return undefined
}
