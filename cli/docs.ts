import { existsSync } from 'node:fs'
import { mkdir, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Context } from './base-command.js'
import { findPython } from './build.js'
import { runChild } from './children.js'
import { Failure } from './failure.js'
import { DOCS_TAR, parseHeaders } from './dist-metadata.js'
import { expandPath } from './session.js'
import { shownBelow } from './source-tree.js'
import { findProgram, findVenv } from './venv.js'

export interface DocsRequest {
  /** Where the built archive goes, below `dist`. */
  readonly project: string
  /** Where to build. */
  readonly folder: string
  readonly workFolder: string
  readonly python: string | undefined
  /** HTML that is there already. */
  readonly prebuilt: string | undefined
  /** Of what was built along, so that it need not be asked again. */
  readonly release: { readonly name: string; readonly version: string } | undefined
}

/** Writes the members of a folder into a zip, compressed, with relative names. */
const ZIP = `import os, sys, zipfile
root, target = sys.argv[1:]
with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
    for folder, folders, files in sorted(os.walk(root)):
        folders[:] = sorted(name for name in folders if name != ".doctrees")
        for name in sorted(files):
            if name != ".buildinfo":
                path = os.path.join(folder, name)
                archive.write(path, os.path.relpath(path, root))
`

/** Writes the files of a tar into a zip, as they are called there. */
const REPACK = `import sys, tarfile, zipfile
with tarfile.open(sys.argv[1]) as tar, zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED) as archive:
    for member in tar:
        if member.isfile():
            archive.writestr(member.name[2:] if member.name.startswith("./") else member.name, tar.extractfile(member).read())
`

/** What the build backend says of the project (PEP 517). */
const METADATA = `import sys
from build.util import project_wheel_metadata
print(project_wheel_metadata(sys.argv[1], isolated=sys.argv[2] == "isolated").as_string())
`

/** Builds the documentation with Sphinx, unless it is there already, and zips it to `dist/NAME-VERSION.doc.zip`. */
export async function buildDocs(context: Context, request: DocsRequest, isolation: boolean): Promise<string> {
  const { terminal, cwd, env } = context
  const python = findPython(context, request.python)
  const { name, version } = request.release ?? (await releaseOf(context, python, request.folder, isolation))
  const html = request.prebuilt === undefined ? await runSphinx(context, request) : expandPath(request.prebuilt, env, cwd)
  if (!existsSync(join(html, 'index.html'))) throw new Failure('BUILD_FAILED', `${shownBelow(html, cwd)} has no index.html`)
  const target = join(request.project, 'dist', `${name}-${version}.doc.zip`)
  await mkdir(join(request.project, 'dist'), { recursive: true })
  await rm(target, { force: true })
  const { code, output } = await runChild(context, [python, '-c', ZIP, html, target], { cwd: request.project, output: 'kept', silent: true })
  if (code !== 0) throw new Failure('BUILD_FAILED', output.trim())
  terminal.line(`built: ${shownBelow(target, cwd)} [sphinx docs] ${Math.floor((await stat(target)).size / 1000)}kb`)
  return target
}

/** Documentation in a tar, as a zip in that folder, which is what servers take. */
export async function repackDocs(context: Context, path: string, into: string, python: string | undefined): Promise<string> {
  const target = join(into, basename(path).replace(DOCS_TAR, '.doc.zip'))
  const { code, output } = await runChild(context, [findPython(context, python), '-c', REPACK, path, target], { cwd: into, output: 'kept', silent: true })
  if (code !== 0) throw new Failure('UPLOAD_FAILED', `${basename(path)}: cannot be repacked: ${output.trim().split('\n').at(-1) ?? ''}`)
  context.terminal.info(`repackaged ${basename(path)} to ${basename(target)}`)
  return target
}

async function runSphinx(context: Context, { folder, workFolder }: DocsRequest): Promise<string> {
  const sphinx = findProgram('sphinx-build', findVenv(context), context.env)
  if (sphinx === undefined) throw new Failure('BUILD_FAILED', 'command not found: sphinx-build', { hint: 'install Sphinx, or name built pages with --docs-dir' })
  const candidates = ['doc', 'docs', 'source'].flatMap((name) => [join(folder, name), join(folder, name, 'source')])
  const source = candidates.find((path) => existsSync(join(path, 'conf.py')))
  if (source === undefined) throw new Failure('BUILD_FAILED', 'no conf.py found in doc, docs or source', { hint: 'name built pages with --docs-dir' })
  const html = join(workFolder, 'html')
  const command = [sphinx, '-E', '-b', 'html', '-d', join(workFolder, 'doctrees'), source, html]
  const { code, output } = await runChild(context, command, { cwd: folder, output: context.verbose ? 'shown' : 'kept' })
  if (code === 0) return html
  if (output !== '') context.terminal.error(output.trimEnd())
  throw new Failure('BUILD_FAILED', `sphinx-build ended with ${code}`)
}

async function releaseOf(context: Context, python: string, folder: string, isolation: boolean): Promise<{ readonly name: string; readonly version: string }> {
  const { code, output } = await runChild(context, [python, '-c', METADATA, folder, isolation ? 'isolated' : 'here'], { cwd: folder, output: 'kept', silent: true })
  const headers = parseHeaders(output.slice(output.indexOf('Metadata-Version:')))
  const of = (header: string): string | undefined => headers.find(([name]) => name === header)?.[1]
  const name = of('name')
  const version = of('version')
  if (code === 0 && name !== undefined && version !== undefined) return { name, version }
  throw new Failure('BUILD_FAILED', `name and version of the project cannot be found out\n${output.trim().split('\n').at(-1) ?? ''}`)
}
