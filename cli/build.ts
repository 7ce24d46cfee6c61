import { existsSync } from 'node:fs'
import { copyFile, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Context } from './base-command.js'
import { type BuildOptions, projectOptions } from './build-config.js'
import { runChild } from './children.js'
import { Failure } from './failure.js'
import { expandPath } from './session.js'
import { exportSources, shownBelow } from './source-tree.js'
import { findProgram, findVenv } from './venv.js'

export interface BuildRequest {
  readonly project: string
  readonly workFolder: string
  readonly options: BuildOptions
  readonly python: string | undefined
  readonly isolation: boolean
  /** Empty the project's own `dist` first. */
  readonly clean: boolean
}

/** What was built, and where it can be built on. */
export interface Built {
  readonly files: readonly string[]
  /** The folder that was built in: the project, or its copy. */
  readonly folder: string
}

/** Exports the sources to where they can be built. */
export async function prepareSources(context: Context, { project, workFolder, options: given }: BuildRequest): Promise<{ readonly folder: string; readonly options: BuildOptions }> {
  if (!existsSync(join(project, 'pyproject.toml')) && !existsSync(join(project, 'setup.py'))) {
    throw new Failure('BUILD_FAILED', `neither pyproject.toml nor setup.py found in ${project}`, { hint: 'go to the folder of a project, or name files to upload' })
  }
  const options = await projectOptions(context, project, given)
  const folder = options.noVcs ? project : await exportSources(context, { project, into: join(workFolder, 'upload'), onlyProject: options.setupdirOnly })
  return { folder, options }
}

/** Builds sdist and wheel out of exported sources, and puts them into the `dist` of the project. */
export async function buildDistributions(context: Context, request: BuildRequest, folder: string, options: BuildOptions): Promise<Built> {
  const { project, workFolder, isolation, clean } = request
  const { terminal, cwd } = context
  const output = join(workFolder, 'dist')
  await mkdir(output, { recursive: true })
  terminal.line(`pre-build: cleaning ${shownBelow(clean ? join(project, 'dist') : output, cwd)}`)
  if (clean) await rm(join(project, 'dist'), { recursive: true, force: true })

  for (const command of await buildCommands(context, request, { output, options, isolation })) {
    const { code, output: printed } = await runChild(context, command, { cwd: folder, output: context.verbose ? 'shown' : 'kept' })
    if (code !== 0) {
      if (printed !== '') terminal.error(printed.trimEnd())
      throw new Failure('BUILD_FAILED', `build failed with exit code ${code}`, { hint: `it ran: ${command.join(' ')}` })
    }
  }
  const files = await moveToProject(context, output, join(project, 'dist'))
  if (files.length === 0) throw new Failure('BUILD_FAILED', 'nothing built!')
  return { files, folder }
}

interface CommandOptions {
  readonly output: string
  readonly options: BuildOptions
  readonly isolation: boolean
}

/** `build` where Python has it, else `uv build`, else a setup.py. */
async function buildCommands(context: Context, { project, python: named }: BuildRequest, { output, options, isolation }: CommandOptions): Promise<string[][]> {
  const python = findPython(context, named)
  const formats = [...(options.sdist ? ['--sdist'] : []), ...(options.wheel ? ['--wheel'] : [])]
  const probe = await runChild(context, [python, '-c', 'import build.__main__'], { cwd: project, output: 'kept', silent: true })
  if (probe.code === 0) return [[python, '-m', 'build', '--outdir', output, ...formats, ...(isolation ? [] : ['--no-isolation'])]]
  const uv = named === undefined ? findProgram('uv', undefined, context.env) : undefined
  if (uv !== undefined) return [[uv, 'build', '--out-dir', output, ...formats, ...(isolation ? [] : ['--no-build-isolation'])]]
  if (!existsSync(join(project, 'setup.py'))) {
    throw new Failure('BUILD_FAILED', `${python} has no module 'build'`, { hint: `install it with \`${python} -m pip install build\`, or choose another Python with --python` })
  }
  const both = !options.sdist && !options.wheel
  return [
    ...(options.sdist || both ? [[python, 'setup.py', 'sdist', '--dist-dir', output]] : []),
    ...(options.wheel || both ? [[python, 'setup.py', 'bdist_wheel', '--dist-dir', output]] : []),
  ]
}

/** The one named, that of a virtual environment, or the first on `PATH`. */
export function findPython(context: Context, named: string | undefined): string {
  const { env, cwd } = context
  if (named !== undefined) {
    const path = /[/\\]/.test(named) ? expandPath(named, env, cwd) : findProgram(named, undefined, env)
    if (path === undefined || !existsSync(path)) throw new Failure('CONFIG', `command not found: ${named}`)
    return path
  }
  const venv = findVenv(context)
  const found = ['python', 'python3'].map((name) => findProgram(name, venv, env)).find((path) => path !== undefined)
  const first = venv === undefined ? (findProgram('python3', undefined, env) ?? found) : found
  if (first === undefined) throw new Failure('CONFIG', 'command not found: python3', { hint: 'install Python, or name it with --python' })
  return first
}

/** Over files of the same name; what else lies there stays. */
async function moveToProject({ terminal, cwd }: Context, from: string, to: string): Promise<string[]> {
  const names = (await readdir(from)).sort()
  if (names.length > 0) await mkdir(to, { recursive: true })
  const files: string[] = []
  for (const name of names) {
    const path = join(to, name)
    await copyFile(join(from, name), path)
    const { size } = await stat(path)
    terminal.line(`built: ${shownBelow(path, cwd)} ${Math.floor(size / 1000)}kb`)
    files.push(path)
  }
  return files
}

