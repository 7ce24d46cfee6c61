import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Context } from './base-command.js'
import { Failure } from './failure.js'
import { normalizeName } from './requirement.js'
import { expandPath } from './session.js'

export interface ToxOptions {
  readonly env: string | undefined
  readonly config: string | undefined
  readonly fallbackIni: string | undefined
  readonly extra: readonly string[]
}

/** The folder of the package among what was unpacked: `name-version` in any spelling, else the only one. */
export async function packageFolder(unpacked: string, name: string, version: string): Promise<string> {
  const folders = (await readdir(unpacked, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  const wanted = normalizeName(`${name}-${version}`)
  const found = folders.find((folder) => normalizeName(folder) === wanted) ?? (folders.length === 1 ? folders[0] : undefined)
  if (found === undefined) throw new Failure('TEST_FAILED', `Couldn't find unpacked package in ${unpacked}`)
  return join(unpacked, found)
}

/** The settings tox is to use: those named, the package's own, or those to fall back to. */
export async function toxConfig({ env, cwd }: Context, folder: string, { config, fallbackIni }: ToxOptions): Promise<string> {
  if (config !== undefined) return existingFile(expandPath(config, env, cwd))
  const own = [
    ['tox.ini', () => true],
    ['pyproject.toml', (text: string) => /^\s*\[tool\.tox/m.test(text)],
    ['setup.cfg', (text: string) => /^\s*\[tox:tox\]/m.test(text)],
  ] as const
  for (const [name, isMeant] of own) {
    const path = join(folder, name)
    const text = await readFile(path, 'utf8').catch(() => undefined)
    if (text !== undefined && isMeant(text)) return path
  }
  if (fallbackIni === undefined) throw new Failure('TEST_FAILED', `no tox.ini/pyproject.toml/setup.cfg file found in ${folder}`, {
    hint: 'let the sdist contain one (`include tox.ini` in MANIFEST.in), or name one with -c or --fallback-ini',
  })
  const near = expandPath(fallbackIni, env, cwd)
  return (await stat(near).catch(() => undefined))?.isFile() === true ? near : existingFile(join(folder, fallbackIni))
}

async function existingFile(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) throw new Failure('TEST_FAILED', `file does not exist: ${path}`)
  if (!found.isFile()) throw new Failure('TEST_FAILED', `is not a file: ${path}`)
  return path
}

/** Words as a shell would take them apart. Fails with `USAGE` for a quote that is not closed. */
export function splitWords(text: string): string[] {
  const words: string[] = []
  let word: string | undefined
  let quote = ''
  for (let at = 0; at < text.length; at++) {
    const letter = text.charAt(at)
    if (letter === '\\' && quote !== "'") {
      at += 1
      word = (word ?? '') + text.charAt(at)
    } else if (quote !== '' && letter === quote) quote = ''
    else if (quote === '' && (letter === '"' || letter === "'")) {
      quote = letter
      word ??= ''
    } else if (quote === '' && /\s/.test(letter)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else word = (word ?? '') + letter
  }
  if (quote !== '') throw new Failure('USAGE', `argument --tox-args: no closing quote in ${text}`)
  return word === undefined ? words : [...words, word]
}
