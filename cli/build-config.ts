import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Context } from './base-command.js'
import { Failure } from './failure.js'

export interface BuildOptions {
  readonly noVcs: boolean
  readonly setupdirOnly: boolean
  /** Neither means both. */
  readonly sdist: boolean
  readonly wheel: boolean
}

const KEYS = { 'no-vcs': 'noVcs', 'setupdir-only': 'setupdirOnly', sdist: 'sdist', wheel: 'wheel' } as const

/**
 * Lays what the project says about its uploads under the options of the
 * command line: `[devpi:upload]` of setup.cfg or `[tool.devpi.upload]` of
 * pyproject.toml, not both.
 */
export async function projectOptions({ terminal }: Context, project: string, given: BuildOptions): Promise<BuildOptions> {
  const cfg = sectionOf(await textOf(join(project, 'setup.cfg')), 'devpi:upload')
  const toml = sectionOf(await textOf(join(project, 'pyproject.toml')), 'tool.devpi.upload')
  if (cfg !== undefined && toml !== undefined) throw new Failure('BUILD_FAILED', 'Got configuration in pyproject.toml and setup.cfg, choose one.')
  const section = cfg ?? toml
  if (section === undefined) return given
  const where = cfg === undefined ? 'tool.devpi.upload section in pyproject.toml' : 'devpi:upload section in setup.cfg'
  terminal.info(`detected ${where}`)
  const options = { ...given }
  for (const [key, name] of Object.entries(KEYS)) {
    const text = section.get(key)
    if (text === undefined || !booleanOf(key, text, cfg === undefined)) continue
    options[name] = true
    terminal.info(cfg === undefined ? `Got ${key}=${text} from pyproject.toml [tool.devpi.upload].` : `Got ${key}=${text} from setup.cfg [devpi:upload].`)
  }
  return options
}

async function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '')
}

/** Keys and values of one section with simple lines; undefined when it is not there. */
function sectionOf(text: string, name: string): ReadonlyMap<string, string> | undefined {
  const lines = text.split(/\r?\n/)
  const start = lines.findIndex((line) => line.trim() === `[${name}]`)
  if (start === -1) return undefined
  const values = new Map<string, string>()
  for (const line of lines.slice(start + 1)) {
    if (/^\s*\[/.test(line)) break
    const [, key, value = ''] = /^\s*"?([\w-]+)"?\s*[=:]\s*(.*?)\s*(?:[#;].*)?$/.exec(line) ?? []
    if (key !== undefined) values.set(key, value)
  }
  return values
}

function booleanOf(key: string, text: string, strict: boolean): boolean {
  const word = text.toLowerCase()
  if (strict ? word === 'true' : ['y', 'yes', 't', 'true', 'on', '1'].includes(word)) return true
  if (strict ? word === 'false' : ['', 'n', 'no', 'f', 'false', 'off', '0'].includes(word)) return false
  throw new Failure('BUILD_FAILED', `Got non-boolean '${text}' for '${key}', use true or false.`)
}
