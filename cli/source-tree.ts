import { existsSync } from 'node:fs'
import { chmod, copyFile, cp, lstat, mkdir, readFile, readlink, symlink, utimes, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import type { Context } from './base-command.js'
import { runChild } from './children.js'
import { Failure, requireGoingOn } from './failure.js'

/** How a version control system tells which files it has below a folder, as seen from there, each name ended by a zero byte. */
const SYSTEMS: Readonly<Record<string, readonly string[]>> = {
  '.git': ['git', 'ls-files', '-z', '--recurse-submodules'],
  '.hg': ['hg', 'status', '-0', '-ncamd', '--config', 'ui.relative-paths=yes', '.'],
}

export interface ExportOptions {
  readonly project: string
  /** An empty folder. */
  readonly into: string
  /** The project folder alone, without the repository's own data. */
  readonly onlyProject: boolean
}

/**
 * Copies the versioned files of a project out of its repository, as they are
 * in the work tree, and the repository's own data with them, for tools that read the version from
 * it. Gives the folder to build in; the project itself where there is no repository.
 */
export async function exportSources(context: Context, { project, into, onlyProject }: ExportOptions): Promise<string> {
  const repository = findRepository(project)
  if (repository === undefined) return project
  const { root, metadata } = repository
  const source = onlyProject ? project : root
  const copy = join(into, basename(source))
  const files = await versionedFiles(context, metadata, source)
  const below = relative(source, project).split(sep).join('/')
  if (!files.some((name) => below === '' || name.startsWith(`${below}/`))) {
    throw new Failure('BUILD_FAILED', `no file of ${project} is versioned in ${root}`, { hint: 'add the files to the repository, or use --no-vcs to build in place' })
  }
  await copyFiles(context, source, copy, files)
  if (onlyProject) {
    context.terminal.warn(`not copying vcs repository metadata for ${metadata}`)
    return copy
  }
  await copyMetadata(join(root, metadata), join(copy, metadata), context.surroundings.interrupted)
  context.terminal.info(`copied repo ${join(root, metadata)} to ${join(copy, metadata)}`)
  const build = join(copy, relative(root, project))
  await mkdir(build, { recursive: true })
  return build
}

async function copyMetadata(from: string, to: string, interrupted: AbortSignal): Promise<void> {
  if ((await lstat(from)).isFile()) {
    // Of a submodule or another work tree of git it is a file that names where the data lies, as seen from there.
    const text = await readFile(from, 'utf8')
    await writeFile(to, text.replace(/^(gitdir: )(.*)$/m, (_line, key: string, path: string) => key + resolve(dirname(from), path)))
    return
  }
  await cp(from, to, { recursive: true, verbatimSymlinks: true, filter: () => !interrupted.aborted })
  requireGoingOn(interrupted)
}

/** The nearest folder above, or the project's own, that a version control system keeps. */
function findRepository(project: string): { readonly root: string; readonly metadata: string } | undefined {
  for (let folder = project; ; folder = dirname(folder)) {
    const metadata = Object.keys(SYSTEMS).find((name) => existsSync(join(folder, name)))
    if (metadata !== undefined) return { root: folder, metadata }
    if (dirname(folder) === folder) return undefined
  }
}

async function versionedFiles(context: Context, metadata: string, source: string): Promise<string[]> {
  const { code, output, result } = await runChild(context, SYSTEMS[metadata] ?? [], { cwd: source, output: 'kept', silent: true })
  if (code !== 0) {
    throw new Failure('BUILD_FAILED', output.trim(), { hint: 'use --no-vcs to build in place' })
  }
  return result.split('\0').filter((name) => name !== '' && !name.split('/').includes('..')).sort()
}

/** Mode and time of each file stay, links stay links; one that is versioned but was deleted is told of. */
async function copyFiles({ terminal, surroundings }: Context, from: string, to: string, names: readonly string[]): Promise<void> {
  await mkdir(to, { recursive: true })
  for (const name of names) {
    requireGoingOn(surroundings.interrupted)
    const source = join(from, ...name.split('/'))
    const target = join(to, ...name.split('/'))
    const found = await lstat(source).catch(() => undefined)
    if (found === undefined) {
      terminal.warn(`${name} is versioned but not there, skipping`)
      continue
    }
    await mkdir(found.isDirectory() ? target : dirname(target), { recursive: true })
    if (found.isSymbolicLink()) await symlink(await readlink(source), target)
    else if (found.isFile()) {
      await copyFile(source, target)
      await chmod(target, found.mode)
      await utimes(target, found.atime, found.mtime)
    }
  }
}

/** The path as it is shown below a folder. */
export function shownBelow(path: string, folder: string): string {
  const found = relative(folder, path)
  return found === '' || found.startsWith(`..${sep}`) || found === '..' ? path : found
}
