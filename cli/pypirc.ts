import { readFile } from 'node:fs/promises'
import { homeFolder } from './session.js'
import type { Context } from './base-command.js'
import { Failure } from './failure.js'
import { expandPath } from './session.js'
import { join } from 'node:path'

/** Where releases are pushed to outside this server when the file names no address. */
const DEFAULT_REPOSITORY = 'https://upload.pypi.org/legacy/'

export interface Repository {
  readonly url: string
  readonly isDefault: boolean
  readonly username: string
  /** To be asked for when undefined. */
  readonly password: string | undefined
}

/** A section of `~/.pypirc`, or of another file like it. Fails with `CONFIG`. */
export async function readRepository({ env, cwd, terminal }: Context, section: string, named: string | undefined): Promise<Repository> {
  const path = named === undefined ? join(homeFolder(env), '.pypirc') : expandPath(named, env, cwd)
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new Failure('CONFIG', `no pypirc file found at: ${path}`, { cause: error })
  })
  terminal.info(`using pypirc ${path}`)
  const values = sectionOf(text, section)
  const fault = (what: string): Failure => new Failure('CONFIG', `Error while trying to read section '${section}': ${what}`)
  if (values === undefined) throw fault('there is no such section')
  const password = env['TWINE_PASSWORD'] ?? env['PYPI_TOKEN'] ?? values.get('password')
  const username = env['TWINE_USERNAME'] ?? (env['PYPI_TOKEN'] === undefined ? values.get('username') : '__token__')
  if (username === undefined || username === '') throw fault('username is missing')
  const url = values.get('repository') ?? DEFAULT_REPOSITORY
  return { url, isDefault: !values.has('repository'), username, password }
}

/** `key = value` or `key: value`, without interpolation. */
function sectionOf(text: string, name: string): ReadonlyMap<string, string> | undefined {
  const lines = text.split(/\r?\n/)
  const start = lines.findIndex((line) => line.trim() === `[${name}]`)
  if (start === -1) return undefined
  const values = new Map<string, string>()
  for (const line of lines.slice(start + 1)) {
    if (/^\s*\[/.test(line)) break
    const [, key, value = ''] = /^\s*([^#;\s][^=:]*?)\s*[=:]\s*(.*?)\s*$/.exec(line) ?? []
    if (key !== undefined) values.set(key.toLowerCase(), value)
  }
  return values
}
