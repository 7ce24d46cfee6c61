import * as Flags from '@oclif/core/flags'
import { sortVersionsAscending } from '#log-format/version.js'
import { type Context, DevpiCommand } from '../base-command.js'
import { mapParallel } from '../parallel.js'
import { argument, INDEX_FLAG, textFlag } from '../flags.js'
import { usageError } from '../failure.js'
import { textsOf } from '../json.js'
import { findIndex, type IndexTarget } from '../place.js'
import { isOn, type ProjectLink, type ProjectRelease, type ProjectVersion, readProject, releaseFiles } from '../project.js'
import { parseRequirement, type Requirement } from '../requirement.js'
import type { Style } from '../terminal.js'
import { readToxReport, type ToxRun, verdictLine, verdictsOf } from '../tox-report.js'
import { address } from '../urls.js'

const GROUPS_SHOWN = 3
const PARALLEL_REQUESTS = 6

/** Projects of an index, or the files of one of them. */
export default class List extends DevpiCommand {
  static override summary = 'list projects, or the files of one project'
  static override description = `Without SPEC: the projects that are on the index itself. With SPEC, a name or a requirement such as "hello>=1,<2", the files of
the matching versions, the newest first, with the results of their tests: bold ones are on this index, others are inherited, and red ones are hidden by
a nearer index.`
  static override examples = ['devpi list', 'devpi list -v --all', 'devpi list hello', 'devpi list "hello>=1,<2" --failures']
  static override args = { spec: argument('project or requirement') }
  static override flags = {
    failures: Flags.boolean({ char: 'f', description: 'show what the commands of failed tests printed' }),
    all: Flags.boolean({ description: 'show all versions' }),
    toxresults: Flags.boolean({ char: 't', description: 'show test results (as is done anyway)' }),
    'no-toxresults': Flags.boolean({ description: 'do not fetch test results', exclusive: ['toxresults', 'failures'] }),
    'ignore-bases': Flags.boolean({ description: 'only what is on the index itself' }),
    limit: textFlag({ description: `how many versions of a project to show, ${GROUPS_SHOWN} unless told`, helpValue: 'N', exclusive: ['all'] }),
    index: INDEX_FLAG,
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(List)
    const limit = flags.all ? Infinity : limitOf(flags.limit)
    const requirement = args.spec === undefined ? undefined : parseRequirement(args.spec)
    const context = await this.open(flags)
    const target = await findIndex(context, flags.index)
    if (requirement === undefined) return await listProjects(context, target, flags.all)
    return await listFiles(context, target, requirement, {
      limit,
      ignoreBases: flags['ignore-bases'],
      toxresults: !flags['no-toxresults'],
      failures: flags.failures,
    })
  }
}

function limitOf(text: string | undefined): number {
  if (text === undefined) return GROUPS_SHOWN
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text)
  throw usageError(`argument --limit: '${text}' is no number of versions`)
}

async function listProjects(context: Context, target: IndexTarget, all: boolean): Promise<object> {
  const { client, terminal } = context
  const { projects } = await client.result('GET', target.index, 'indexconfig')
  const names = textsOf(projects).sort()
  if (!context.verbose) {
    for (const name of names) terminal.info(name)
    return { index: target.index, projects: names.map((name) => ({ name })) }
  }
  const versions = await mapParallel(names, PARALLEL_REQUESTS, async (name) => {
    const result = await client.result('GET', `${address(target.index, name)}/`, 'projectconfig')
    const known = sortVersionsAscending(Object.keys(result))
    return (all ? known : known.slice(-1)).map((version) => ({ name, version }))
  })
  for (const { name, version } of versions.flat()) terminal.info(`${name}==${version}`)
  return { index: target.index, projects: versions.flat() }
}

interface ListOptions {
  readonly limit: number
  readonly ignoreBases: boolean
  readonly toxresults: boolean
  readonly failures: boolean
}

interface Group {
  readonly release: ProjectRelease
  readonly isShadowed: boolean
}

async function listFiles(context: Context, target: IndexTarget, requirement: Requirement, options: ListOptions): Promise<object> {
  const { terminal, client } = context
  const versions = await readProject(client, target, requirement.project, options.ignoreBases ? '?ignore_bases=' : '')
  const groups = versions.filter(({ version }) => requirement.matches(version)).flatMap(groupsOf).filter(({ release }) => releaseFiles(release).length > 0)
  const shown = groups.slice(0, options.limit)
  const files: object[] = []
  for (const { release, isShadowed } of shown) {
    for (const file of releaseFiles(release)) {
      const origin = isShadowed ? 'shadowed' : isOn(file, target) ? 'own' : 'inherited'
      terminal.line(file.href, STYLES[origin])
      const yanked = file.yanked ?? release.yanked
      const runs = options.toxresults ? await toxRuns(context, release, file) : []
      for (const run of runs) showRun(context, run, options.failures)
      files.push({
        href: file.href,
        basename: file.basename,
        version: release.version,
        hash: file.sha256 ?? null,
        origin,
        ...(yanked !== undefined && { yanked }),
        toxresults: runs.map(({ commands: _, python, ...run }) => ({ ...run, python: python ?? null })),
      })
    }
  }
  const hidden = groups.length - shown.length
  if (hidden > 0) terminal.info(`${hidden} older versions not shown, use --all to see`)
  return { project: requirement.project, files, hidden }
}

const STYLES: Readonly<Record<'own' | 'inherited' | 'shadowed', Style>> = { own: 'bold', inherited: 'plain', shadowed: 'error' }

function groupsOf(version: ProjectVersion): Group[] {
  return [{ release: version, isShadowed: false }, ...version.shadowed.map((release) => ({ release, isShadowed: true }))]
}

/** The newest run for each host, platform and environment. A report that cannot be had or read is told of and passed over. */
async function toxRuns({ client, terminal }: Context, { links }: ProjectRelease, file: ProjectLink): Promise<ToxRun[]> {
  const reports = links.filter(({ rel, forHref }) => rel === 'toxresult' && forHref === file.href).reverse()
  const read = await mapParallel(reports, PARALLEL_REQUESTS, async ({ href }) => {
    const reply = await client.send({ method: 'GET', url: href, headers: { accept: '*/*' } })
    return { href, runs: reply.status === 200 ? readToxReport(reply.json ?? parsed(reply.text)) : undefined }
  })
  const newest = new Map<string, ToxRun>()
  for (const { href, runs } of read) {
    if (runs === undefined) terminal.error(`corrupt toxresult, skipping: ${href}`)
    for (const run of runs ?? []) {
      const key = JSON.stringify([run.host, run.platform, run.env])
      if (!newest.has(key)) newest.set(key, run)
    }
  }
  return [...newest.values()]
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function showRun({ terminal }: Context, run: ToxRun, failures: boolean): void {
  for (const { verdict, of } of verdictsOf(run)) {
    const isGood = verdict === 'tests passed'
    terminal.line(verdictLine(run, verdict), isGood ? 'plain' : 'error')
    if (!failures || isGood) continue
    for (const { command, output, failed } of run.commands[of]) {
      terminal.line(failed ? `    FAIL: ${command}` : `    OK:  ${command}`, failed ? 'error' : 'bold')
      if (!failed) continue
      for (const line of output.trimEnd().split('\n')) terminal.line(`    ${line}`, 'error')
      break
    }
  }
}
