import { existsSync } from 'node:fs'
import { chmod, copyFile, cp, lstat, mkdir, readlink, symlink, utimes } from 'node:fs/promises'
import { basename, dirname, join, relative, sep } from 'node:path'
import type { Context } from './base-command.js'
import { runChild } from './children.js'
import { Failure, requireGoingOn } from './failure.js'

/** How a version control system tells which files it has, each name ended by a zero byte. */
const SYSTEMS: Readonly<Record<string, readonly string[]>> = {
  '.git': ['git', 'ls-files', '-z', '--recurse-submodules'],
  '.hg': ['hg', 'status', '-0', '-ncamd'],
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
  await copyFiles(context, source, copy, await versionedFiles(context, metadata, source))
  if (onlyProject) {
    context.terminal.warn(`not copying vcs repository metadata for ${metadata}`)
    return copy
  }
  await cp(join(root, metadata), join(copy, metadata), { recursive: true, verbatimSymlinks: true, filter: () => !context.surroundings.interrupted.aborted })
  requireGoingOn(context.surroundings.interrupted)
  context.terminal.info(`copied repo ${join(root, metadata)} to ${join(copy, metadata)}`)
  const build = join(copy, relative(root, project))
  await mkdir(build, { recursive: true })
  return build
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
  const { code, output } = await runChild(context, SYSTEMS[metadata] ?? [], { cwd: source, output: 'kept', silent: true })
  if (code !== 0) {
    throw new Failure('BUILD_FAILED', output.trim(), { hint: 'use --no-vcs to build in place' })
  }
  return output.split('\0').filter((name) => name !== '' && !name.split('/').includes('..')).sort()
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
