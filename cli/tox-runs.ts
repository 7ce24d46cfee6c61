import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Context } from './base-command.js'
import { runChild } from './children.js'
import { Failure } from './failure.js'
import { parseJson } from './json.js'
import { installerEnvironment } from './pip-environment.js'
import type { IndexTarget } from './place.js'
import { Progress } from './progress.js'
import { type ProjectLink, readProject, releaseFiles } from './project.js'
import { messageOf } from './reply.js'
import { parseRequirement } from './requirement.js'
import { packageFolder, toxConfig, type ToxOptions } from './tox.js'
import { readToxReport } from './tox-report.js'
import { unpack } from './unpack.js'
import { findProgram, findVenv } from './venv.js'
import { WorkFolder } from './work-folder.js'

/** What tox exits with when it could not begin: there is nothing to report then. */
const TOX_USAGE_ERROR = 2
const UNIVERSAL = /-none-any\.whl$/

export interface TestOptions {
  readonly tox: ToxOptions
  readonly select: RegExp | undefined
  readonly onlyList: boolean
  readonly upload: boolean
  /** Show what tox prints as it comes, or when it has ended: lines of several would run into each other. */
  readonly output: 'live' | 'at the end'
}

/** One run of tox; an entry of `runs` with `--json`. */
export interface Run {
  readonly file: string
  readonly toxExit: number | null
  readonly reportPosted: boolean
  readonly envs: readonly { readonly env: string; readonly setup: string; readonly test: string }[]
}

/** Downloads the newest release that matches, tests its files one after the other, and attaches the reports. */
export async function testRelease(context: Context, target: IndexTarget, spec: string, options: TestOptions): Promise<Run[]> {
  const { terminal } = context
  const { version, files, project } = await chooseFiles(context, target, spec)
  await using work = await WorkFolder.open(context, 'devpi-test')
  const sdists = [...files.filter(({ basename }) => /\.(tar\.gz|tgz)$/.test(basename)), ...files.filter(({ basename }) => basename.endsWith('.zip'))]
  const wheels = files.filter(({ basename }) => basename.endsWith('.whl')).filter(({ basename }) => {
    const isMeant = options.select !== undefined || UNIVERSAL.test(basename)
    if (!isMeant) terminal.warn(`only universal wheels supported, found ${basename}`)
    return isMeant
  })
  const [first] = sdists
  if (first === undefined) throw new Failure('TEST_FAILED', 'need at least one sdist distribution')
  const chosen = [...sdists, ...wheels].filter(({ basename }) => options.select?.test(basename) ?? true)
  if (chosen.length === 0) throw new Failure('TEST_FAILED', `no file of ${project} ${version} matches ${options.select?.source ?? ''}`)
  if (options.onlyList) {
    terminal.info('would test:')
    for (const { href } of chosen) terminal.info(`   ${href}`)
    return chosen.map(({ href }) => ({ file: href, toxExit: null, reportPosted: false, envs: [] }))
  }
  const downloads = join(work.path, 'downloads')
  await download(context, new Set([first, ...chosen]), downloads)
  const sources = join(work.path, first.basename.endsWith('.zip') ? 'zip' : 'targz')
  terminal.info(`unpacking ${join(downloads, first.basename)} to ${sources}`)
  await unpack(join(downloads, first.basename), sources, context.surroundings.interrupted)
  const folder = await packageFolder(sources, project, version)
  const runs: Run[] = []
  for (const [at, file] of chosen.entries()) {
    runs.push(await runTox(context, target, file, { options, archive: join(downloads, file.basename), folder, report: join(at === 0 ? sources : join(sources, `..`), at === 0 ? 'toxreport.json' : `toxreport-${at}.json`) }))
  }
  return runs
}

async function download(context: Context, files: Iterable<ProjectLink>, folder: string): Promise<void> {
  await mkdir(folder)
  using progress = new Progress(context)
  for (const file of files) {
    await context.client.download(file.href, join(folder, file.basename), requireDigest(file), (bytes, total) => {
      progress.announce(file.href, total)
      progress.set(file.href, bytes)
    })
    progress.clear()
    context.terminal.info(`received ${file.href}`)
  }
}

/** Files of the highest version that matches, inherited ones too. */
async function chooseFiles({ client, terminal }: Context, target: IndexTarget, spec: string): Promise<{ readonly project: string; readonly version: string; readonly files: readonly ProjectLink[] }> {
  const requirement = parseRequirement(spec)
  const missing = new Failure('NOT_FOUND', `could not find/receive links for ${spec}`)
  const versions = await readProject(client, target, requirement.project).catch((error: unknown) => {
    if (!(error instanceof Failure) || error.request?.status !== 404) throw error
    terminal.error(error.message)
    throw missing
  })
  const found = versions.find((release) => requirement.matches(release.version) && releaseFiles(release).length > 0)
  if (found === undefined) throw missing
  return { project: requirement.project, version: found.version, files: releaseFiles(found) }
}

function requireDigest({ href, sha256 }: ProjectLink): string {
  if (sha256 !== undefined) return sha256
  throw new Failure('TEST_FAILED', `could not receive ${href}: the server announces no sha256 to check it with`)
}

interface ToxRunOptions {
  readonly options: TestOptions
  readonly archive: string
  /** The unpacked sdist. */
  readonly folder: string
  readonly report: string
}

async function runTox(context: Context, target: IndexTarget, file: ProjectLink, { options, archive, folder, report }: ToxRunOptions): Promise<Run> {
  const { terminal, env } = context
  const tox = findProgram('tox', findVenv(context), env)
  if (tox === undefined) throw new Failure('TEST_FAILED', 'no tox binary found', { hint: 'install it, for example with `pipx install tox`' })
  const config = await toxConfig(context, folder, options.tox)
  const command = [tox, '--installpkg', archive, '--recreate', '--result-json', report, ...(options.tox.env === undefined ? [] : [`-e${options.tox.env}`]), '-c', config, ...options.tox.extra]
  const variables = installerEnvironment(context, target)
  const { code, output } = await runChild(context, command, { cwd: folder, env: { ...variables, UV_DEFAULT_INDEX: variables['PIP_INDEX_URL'] }, output: options.output === 'live' ? 'shown' : 'kept' })
  if (output !== '') terminal.note(output.trimEnd())
  if (code !== 0) terminal.error('command failed')
  if (code === TOX_USAGE_ERROR) return { file: file.href, toxExit: code, reportPosted: false, envs: [] }
  const text = await readFile(report, 'utf8').catch(() => undefined)
  const runs = text === undefined ? undefined : readToxReport(parseJson(text))
  if (text === undefined || runs === undefined) {
    throw new Failure('TEST_FAILED', `tox ended with ${code} and left no report`, { hint: options.tox.env === undefined ? undefined : `is '${options.tox.env}' an environment of the package?` })
  }
  if (options.upload) await postReport(context, file, withoutSecrets(context, target, text))
  return { file: file.href, toxExit: code, reportPosted: options.upload, envs: runs.map((run) => ({ env: run.env, setup: run.setup, test: run.test })) }
}

async function postReport({ client, terminal }: Context, { href }: ProjectLink, report: unknown): Promise<void> {
  terminal.line(`posting tox result data to ${href}`)
  const reply = await client.api('POST', href, { json: report })
  terminal.info('successfully posted tox result data')
  const message = messageOf(reply)
  if (message !== undefined) terminal.warn(message)
}

/** Reports hold what tox printed, and that may hold the address it was given. */
function withoutSecrets({ client }: Context, { simpleindex }: IndexTarget, text: string): unknown {
  const secret = client.credentialsFor(simpleindex)?.password
  const spellings = secret === undefined || secret === '' ? [] : [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)]
  return parseJson(spellings.reduce((clean, spelling) => clean.replaceAll(spelling, '****'), text))
}
