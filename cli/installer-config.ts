import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readIniKey } from './config-editors.js'
import { expandPath, homeFolder } from './session.js'
import { readTomlKey } from './toml-editor.js'
import { maskPassword } from './urls.js'
import { findProgram } from './venv.js'

export type Installer = 'easy_install' | 'pip' | 'buildout' | 'uv' | 'poetry' | 'pdm' | 'twine'

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

/** What tools for publishing call the server. */
export const PUBLISH_NAME = 'devpi'

/** Where each keeps the address: of the pages it installs from, or of the index it uploads to. */
const READERS: Readonly<Record<Installer, (text: string) => string | undefined>> = {
  easy_install: (text) => readIniKey(text, 'easy_install', ['index_url', 'index-url']),
  pip: (text) => readIniKey(text, 'global', ['index-url', 'index_url']),
  buildout: (text) => readIniKey(text, 'buildout', ['index']),
  uv: (text) => readTomlKey(text, ['index-url']),
  poetry: (text) => readTomlKey(text, ['repositories', PUBLISH_NAME, 'url']),
  pdm: (text) => readTomlKey(text, ['pypi', 'url']),
  twine: (text) => readIniKey(text, PUBLISH_NAME, ['repository']),
}
/** Those that are for uploads. */
export const PUBLISHING: readonly Installer[] = ['poetry', 'twine']

export interface InstallerPlaces {
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  /** With a virtual environment, its own files instead of the user's. */
  readonly venv: string | undefined
}

/** The files that are shown. */
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
    ...optionalFiles(env, cwd).filter(({ path }) => existsSync(path)),
  ]
}

/** The files that `use --set-cfg` writes: of tools that not everybody has, only of those that are there. */
export function filesToWrite(places: InstallerPlaces): InstallerFile[] {
  const { env, cwd, venv } = places
  if (venv !== undefined) return installerFiles(places)
  const known = installerFiles(places)
  const further = optionalFiles(env, cwd).filter(({ tool }) => !known.some((file) => file.tool === tool) && findProgram(tool, undefined, env) !== undefined)
  return [...known, ...further]
}

function optionalFiles(env: NodeJS.ProcessEnv, cwd: string): InstallerFile[] {
  const poetry = env['POETRY_CONFIG_DIR'] ?? ''
  const pdm = env['PDM_CONFIG_FILE'] ?? ''
  return [
    { tool: 'poetry', path: join(poetry === '' ? join(configFolder(env), 'pypoetry') : expandPath(poetry, env, cwd), 'config.toml') },
    { tool: 'pdm', path: pdm === '' ? join(configFolder(env), 'pdm/config.toml') : expandPath(pdm, env, cwd) },
    { tool: 'twine', path: join(homeFolder(env), '.pypirc') },
  ]
}

/** Where a user's settings lie on this system. */
function configFolder(env: NodeJS.ProcessEnv): string {
  if (process.platform === 'darwin') return join(homeFolder(env), 'Library/Application Support')
  const named = process.platform === 'win32' ? env['APPDATA'] : env['XDG_CONFIG_HOME']
  return named === undefined || named === '' ? join(homeFolder(env), '.config') : named
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
      const value = text === undefined ? undefined : READERS[file.tool](text)
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
