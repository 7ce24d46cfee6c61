import { readdir, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, resolve, sep } from 'node:path'
import { compareVersions } from '#log-format/version.js'
import { isCompanion } from './attestations.js'
import { type Distribution, isArchiveName } from './dist-metadata.js'
import { Failure } from './failure.js'
import { normalizeName } from './requirement.js'

/**
 * Files that the paths and patterns of a command line name, sorted, each once.
 * Folders are searched if that was asked for. Attestations and signatures, which shells name
 * along with what they are for, are left out. Fails with `CONFIG` for what is not there.
 */
export async function findFiles(paths: readonly string[], cwd: string, fromFolders: boolean): Promise<string[]> {
  const found = new Set<string>()
  for (const named of paths) {
    const path = resolve(cwd, named)
    const kind = await kindOf(path)
    if (kind === 'file') found.add(path)
    else if (kind === 'folder' && fromFolders) for (const file of await archivesUnder(path)) found.add(file)
    else if (kind === 'folder') throw new Failure('CONFIG', `${named}: is a directory but --from-dir not specified`)
    else for (const file of await matching(named, cwd)) found.add(file)
  }
  return [...found].filter((path) => !isCompanion(path)).sort()
}

async function kindOf(path: string): Promise<'file' | 'folder' | undefined> {
  const found = await stat(path).catch(() => undefined)
  return found?.isFile() === true ? 'file' : found?.isDirectory() === true ? 'folder' : undefined
}

async function archivesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile() && isArchiveName(entry.name) && !entry.name.startsWith('.')).map((entry) => join(entry.parentPath, entry.name))
}

/** `*`, `?` and `[…]` within a name, `**` for any folders; a leading dot is matched by a dot alone. */
async function matching(pattern: string, cwd: string): Promise<string[]> {
  if (!/[*?[]/.test(pattern)) throw new Failure('CONFIG', `path does not exist: ${pattern}`)
  const whole = isAbsolute(pattern) ? pattern : join(cwd, pattern)
  const parts = whole.split(sep)
  const fixed = parts.slice(0, parts.findIndex((part) => /[*?[]/.test(part)))
  const start = fixed.join(sep) === '' ? sep : fixed.join(sep)
  const wanted = new RegExp(`^${parts.map(segmentPattern).join('')}$`)
  const deep = pattern.includes('**') || parts.length > fixed.length + 1
  const entries = await readdir(start, { recursive: deep, withFileTypes: true }).catch(() => [])
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name)).filter((path) => wanted.test(path))
  if (files.length === 0) throw new Failure('CONFIG', `nothing matches ${pattern} in ${dirname(start)}`)
  return files
}

function segmentPattern(segment: string, at: number, all: readonly string[]): string {
  const end = at === all.length - 1 ? '' : '/'
  if (segment === '**') return '(?:[^/]+/)*'
  const escaped = segment.replace(/[.+^${}()|\\]/g, '\\$&').replaceAll('*', '[^/]*').replaceAll('?', '[^/]').replace(/\[!/g, '[^')
  return `${/^[*?[]/.test(segment) ? '(?!\\.)' : ''}${escaped}${end}`
}

/** Of every project the newest version alone, with all its files; documentation apart from releases. */
export function newestOnly(files: readonly Distribution[]): Distribution[] {
  const newest = new Map<string, string>()
  const keyOf = ({ action, name }: Distribution): string => `${action} ${normalizeName(name)}`
  for (const file of files) {
    const known = newest.get(keyOf(file))
    if (file.version !== undefined && (known === undefined || compareVersions(file.version, known) > 0)) newest.set(keyOf(file), file.version)
  }
  return files.filter((file) => file.version === undefined || file.version === newest.get(keyOf(file)))
}
