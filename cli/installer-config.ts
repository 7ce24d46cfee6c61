import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expandPath, homeFolder } from './session.js'
import { maskPassword } from './urls.js'

export type Installer = 'easy_install' | 'pip' | 'buildout' | 'uv'

/** A file in which an installer looks for its index. */
export interface InstallerFile {
  readonly tool: Installer
  readonly path: string
}

export interface InstallerState extends InstallerFile {
  readonly exists: boolean
  /** What it names, a password hidden. */
  readonly index: string | undefined
}

/** The key at the start of a line that names the index. */
const KEYS: Readonly<Record<Installer, RegExp>> = {
  easy_install: /^index[_-]url\s*[=:]\s*(.*)$/m,
  pip: /^index[_-]url\s*[=:]\s*(.*)$/m,
  buildout: /^index\s*[=:]\s*(.*)$/m,
  uv: /^index-url\s*=\s*(.*)$/m,
}

export interface InstallerPlaces {
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  /** With a virtual environment, its own files instead of the user's. */
  readonly venv: string | undefined
}

/** The files that are shown, and that `use --set-cfg` writes. */
export function installerFiles({ env, cwd, venv }: InstallerPlaces): InstallerFile[] {
  if (venv !== undefined) {
    return [
      { tool: 'pip', path: join(venv, process.platform === 'win32' ? 'pip.ini' : 'pip.conf') },
      { tool: 'uv', path: join(venv, 'uv.toml') },
    ]
  }
  const home = homeFolder(env)
  return [
    { tool: 'easy_install', path: join(home, process.platform === 'win32' ? 'pydistutils.cfg' : '.pydistutils.cfg') },
    { tool: 'pip', path: pipFile(env, cwd) },
    { tool: 'buildout', path: join(home, '.buildout/default.cfg') },
    { tool: 'uv', path: uvFile(env, cwd) },
  ]
}

function pipFile(env: NodeJS.ProcessEnv, cwd: string): string {
  const home = homeFolder(env)
  const named = env['PIP_CONFIG_FILE']
  if (named !== undefined && named !== '') return expandPath(named, env, cwd)
  if (process.platform === 'win32') {
    const old = join(home, 'pip/pip.ini')
    return existsSync(old) ? old : join(env['APPDATA'] ?? home, 'pip/pip.ini')
  }
  const old = join(home, '.pip/pip.conf')
  if (existsSync(old)) return old
  const mac = join(home, 'Library/Application Support/pip')
  if (process.platform === 'darwin' && existsSync(mac)) return join(mac, 'pip.conf')
  return join(env['XDG_CONFIG_HOME'] ?? join(home, '.config'), 'pip/pip.conf')
}

function uvFile(env: NodeJS.ProcessEnv, cwd: string): string {
  const named = env['UV_CONFIG_FILE']
  if (named !== undefined && named !== '') return expandPath(named, env, cwd)
  const folder = process.platform === 'win32' ? env['APPDATA'] : env['XDG_CONFIG_HOME']
  return join(folder === undefined || folder === '' ? join(homeFolder(env), '.config') : folder, 'uv/uv.toml')
}

/** Reads what is there. A file that cannot be read names no index. */
export async function readInstallerStates(places: InstallerPlaces): Promise<InstallerState[]> {
  return Promise.all(
    installerFiles(places).map(async (file) => {
      const text = await readFile(file.path, 'utf8').catch(() => undefined)
      const value = text === undefined ? undefined : KEYS[file.tool].exec(text)?.[1]?.trim().replace(/^(["'])(.*)\1$/, '$2')
      return { ...file, exists: text !== undefined || existsSync(file.path), index: value === undefined || value === '' ? undefined : maskPassword(value) }
    }),
  )
}

/** One line: the file, and which index it names. The user's home is `~`. */
export function describeInstaller({ path, exists, index }: InstallerState, env: NodeJS.ProcessEnv): string {
  const home = homeFolder(env)
  const shown = path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path
  const status = !exists ? 'no config file exists' : (index ?? 'no index server configured')
  return `${shown.padEnd(23)}: ${status}`
}
