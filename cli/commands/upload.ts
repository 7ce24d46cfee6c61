import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import * as Flags from '@oclif/core/flags'
import { type Context, DevpiCommand } from '../base-command.js'
import { type BuildRequest, buildDistributions, prepareSources } from '../build.js'
import { findFiles, newestOnly } from '../dist-files.js'
import { type Distribution, DOCS_TAR, readDistribution } from '../dist-metadata.js'
import { buildDocs, repackDocs } from '../docs.js'
import { Failure, usageError } from '../failure.js'
import { argument, INDEX_FLAG, textFlag } from '../flags.js'
import { findIndex, type IndexTarget } from '../place.js'
import { writeOverCtrlC } from '../report.js'
import { requireAll, type Uploaded, uploadFiles, type UploadOptions } from '../upload-files.js'
import { watchFolder, type WatchOptions } from '../watch-folder.js'
import { WorkFolder } from '../work-folder.js'

const DEFAULT_JOBS = 4

/** Uploads release files, and builds them first if none are named. */
export default class Upload extends DevpiCommand {
  static override summary = 'build and upload releases and their documentation'
  static override description = `Without PATH the project in the current folder is built, as sdist and wheel, from a copy that has its versioned files only, and
what was built is uploaded. With PATH the named files are uploaded: files, patterns such as "dist/*.whl", and folders with --from-dir. A file that is
refused does not keep the others back; the exit code is 1 then.`
  static override examples = [
    'devpi upload',
    'devpi upload --sdist --no-isolation',
    'devpi upload dist/hello-1.0.tar.gz dist/hello-1.0-py3-none-any.whl',
    'devpi upload --from-dir --only-latest --skip-existing wheelhouse',
  ]
  static override strict = false
  static override args = { path: argument('file, pattern or folder; any number of them') }
  static override usage = 'upload [PATH...] [options]'
  static override flags = {
    index: INDEX_FLAG,
    'from-dir': Flags.boolean({ description: 'search folders for files to upload' }),
    'only-latest': Flags.boolean({ description: 'of every project the newest version only' }),
    'dry-run': Flags.boolean({ description: 'build and check, but upload nothing' }),
    'skip-existing': Flags.boolean({ description: 'pass over files that the index has already, with the same contents' }),
    jobs: textFlag({ char: 'j', description: `how many files to upload at a time, ${DEFAULT_JOBS} unless told`, helpValue: 'N' }),
    watch: Flags.boolean({ description: 'upload what is in a folder, dist unless named, and what comes into it, until interrupted', helpGroup: 'WATCHING' }),
    once: Flags.boolean({ description: 'with --watch: upload what is there and end', helpGroup: 'WATCHING', dependsOn: ['watch'] }),
    'new-only': Flags.boolean({ description: 'with --watch: only what comes into it', helpGroup: 'WATCHING', dependsOn: ['watch'], exclusive: ['once'] }),
    'poll-ms': textFlag({ description: 'with --watch: look that often, for network file systems', helpValue: 'MS', helpGroup: 'WATCHING', dependsOn: ['watch'] }),
    python: textFlag({ char: 'p', description: 'Python to build with', helpValue: 'EXE', helpGroup: 'BUILDING' }),
    sdist: Flags.boolean({ description: 'build only an sdist, or with --wheel both', helpGroup: 'BUILDING' }),
    wheel: Flags.boolean({ description: 'build only a wheel, or with --sdist both', helpGroup: 'BUILDING' }),
    formats: textFlag({ description: 'old spelling of --sdist and --wheel', hidden: true }),
    'no-isolation': Flags.boolean({ description: 'build with the packages that are installed', helpGroup: 'BUILDING' }),
    'no-vcs': Flags.boolean({ description: 'build in place instead of in a clean copy', helpGroup: 'BUILDING' }),
    'setupdir-only': Flags.boolean({ description: 'copy the project folder alone, not the repository', helpGroup: 'BUILDING' }),
    clean: Flags.boolean({ description: 'empty dist first', helpGroup: 'BUILDING' }),
    'with-docs': Flags.boolean({ description: 'build and upload documentation too', helpGroup: 'DOCUMENTATION', exclusive: ['only-docs'] }),
    'only-docs': Flags.boolean({ description: 'build and upload documentation alone', helpGroup: 'DOCUMENTATION' }),
    'docs-dir': textFlag({ description: 'HTML that is built already', helpValue: 'DIR', helpGroup: 'DOCUMENTATION' }),
  }

  async run(): Promise<object | undefined> {
    const { argv, flags } = await this.parse(Upload)
    const jobs = jobsOf(flags.jobs)
    const paths = argv.map(String)
    const context = await this.open(flags)
    const target = await findUploadTarget(context, flags.index)
    if (flags.watch) {
      const pollMs = flags['poll-ms'] === undefined ? undefined : pollOf(flags['poll-ms'])
      return await watch(context, target, { folder: watchedFolder(context, paths), newOnly: flags['new-only'], once: flags.once, pollMs })
    }
    const options: UploadOptions = { jobs, dryRun: flags['dry-run'], skipExisting: flags['skip-existing'] }
    if (paths.length > 0) {
      const files = await findFiles(paths, context.cwd, flags['from-dir'])
      if (files.length === 0) throw new Failure('UPLOAD_FAILED', `nothing to upload found in ${paths.join(', ')}`)
      return await uploadNamed(context, target, files, { ...options, onlyLatest: flags['only-latest'], python: flags.python })
    }
    await using work = await WorkFolder.open(context, 'devpi')
    const { sdist, wheel } = formatsOf(context, flags)
    const request: BuildRequest = {
      project: context.cwd,
      workFolder: work.path,
      options: { noVcs: flags['no-vcs'], setupdirOnly: flags['setupdir-only'], sdist, wheel },
      python: flags.python,
      isolation: !flags['no-isolation'],
      clean: flags.clean,
    }
    const docs = { build: flags['with-docs'] || flags['only-docs'] || flags['docs-dir'] !== undefined, only: flags['only-docs'], prebuilt: flags['docs-dir'] }
    const built = await buildAll(context, request, docs)
    const distributions = await Promise.all(built.map((path) => readDistribution(path, context.surroundings.interrupted)))
    return requireAll(target, await uploadFiles(context, target, distributions, options), built)
  }
}

function jobsOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_JOBS
  if (/^([1-9]|[1-5]\d|6[0-4])$/.test(text)) return Number(text)
  throw usageError(`argument --jobs: '${text}' is no number from 1 to 64`)
}

function pollOf(text: string): number {
  if (/^[1-9]\d{1,6}$/.test(text)) return Number(text)
  throw usageError(`argument --poll-ms: '${text}' is no number of milliseconds from 10 on`)
}

function watchedFolder({ cwd }: Context, paths: readonly string[]): string {
  const [named = 'dist', ...others] = paths
  if (others.length > 0) throw usageError('--watch takes one folder')
  const folder = resolve(cwd, named)
  if (!existsSync(folder)) throw new Failure('CONFIG', `path does not exist: ${named}`)
  return folder
}

/** With `--json` each file is one line, as it comes, or with `--once` all of them are one document. */
async function watch(context: Context, target: IndexTarget, options: WatchOptions): Promise<object | undefined> {
  const summary = await watchFolder(context, target, options)
  writeOverCtrlC(context.surroundings)
  context.terminal.note(`${summary.uploaded} uploaded, ${summary.failed} not`)
  if (options.once && summary.failed > 0) throw new Failure('UPLOAD_FAILED', 'not all files were uploaded', { result: summary })
  return context.terminal.json && !options.once ? undefined : summary
}

async function findUploadTarget(context: Context, index: string | undefined): Promise<IndexTarget> {
  const target = await findIndex(context, index)
  if (target.pypisubmit !== undefined) return target
  throw new Failure('UPLOAD_FAILED', `The ${index === undefined ? 'current ' : ''}index ${target.index} does not support upload.\nMost likely, it is a mirror.`)
}

interface FormatFlags {
  readonly sdist: boolean
  readonly wheel: boolean
  readonly formats?: string | undefined
}

function formatsOf({ terminal }: Context, { sdist, wheel, formats }: FormatFlags): { readonly sdist: boolean; readonly wheel: boolean } {
  const named = (formats ?? '').split(',').filter((format) => format !== '')
  if (formats !== undefined) terminal.warn('The --formats option is deprecated, use --sdist and --wheel.')
  const unknown = named.filter((format) => !['sdist', 'sdist.tgz', 'sdist.zip', 'bdist_wheel'].includes(format))
  if (unknown.length > 0) throw new Failure('BUILD_FAILED', `none of the formats supported is called ${unknown.join(', ')}`, { hint: 'use --sdist and --wheel' })
  if (sdist || wheel) return { sdist, wheel }
  return { sdist: named.some((format) => format.startsWith('sdist')), wheel: named.includes('bdist_wheel') }
}

interface NamedOptions extends UploadOptions {
  readonly onlyLatest: boolean
  readonly python: string | undefined
}

/** Files that cannot be read are told of, like those that are refused. */
async function uploadNamed(context: Context, target: IndexTarget, files: readonly string[], options: NamedOptions): Promise<object> {
  const readable: Distribution[] = []
  const unreadable: Uploaded[] = []
  await using work = files.some((file) => DOCS_TAR.test(file)) ? await WorkFolder.open(context, 'devpi') : undefined
  for (const file of files) {
    try {
      const path = work !== undefined && DOCS_TAR.test(file) ? await repackDocs(context, file, work.path, options.python) : file
      readable.push(await readDistribution(path, context.surroundings.interrupted))
    } catch (error) {
      if (!(error instanceof Failure) || error.code === 'CANCELLED') throw error
      context.terminal.error(error.message)
      unreadable.push({ file, action: 'file_upload', status: null, ok: false, reason: error.message, sha256: '', skipped: false, attestations: 0 })
    }
  }
  const chosen = options.onlyLatest ? newestOnly(readable) : readable
  return requireAll(target, [...(await uploadFiles(context, target, chosen, options)), ...unreadable], [])
}

interface DocsOptions {
  readonly build: boolean
  readonly only: boolean
  readonly prebuilt: string | undefined
}

async function buildAll(context: Context, request: BuildRequest, docs: DocsOptions): Promise<string[]> {
  const { folder, options } = await prepareSources(context, request)
  const files = docs.only ? [] : (await buildDistributions(context, request, folder, options)).files
  if (!docs.build) return [...files]
  const [first] = await Promise.all(files.slice(0, 1).map((path) => readDistribution(path, context.surroundings.interrupted)))
  const release = first?.version === undefined ? undefined : { name: first.name, version: first.version }
  const { project, workFolder, python, isolation } = request
  const archive = await buildDocs(context, { project, folder, workFolder, python, prebuilt: docs.prebuilt, release }, isolation)
  return [...files, archive]
}
