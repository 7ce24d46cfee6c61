import { resolve } from 'node:path'
import { type Context, DevpiCommand } from '../base-command.js'
import { type Change, changeOf } from '../changes.js'
import { readDistribution } from '../dist-metadata.js'
import { Failure, requireGoingOn, usageError } from '../failure.js'
import { argument, INDEX_FLAG } from '../flags.js'
import { listOf, textOf } from '../json.js'
import { findIndex, type IndexTarget, nameOfIndex } from '../place.js'
import { type ProjectLink, readProject } from '../project.js'
import { normalizeName } from '../requirement.js'
import { digestOf } from '../upload-files.js'

type Verdict = 'known' | 'different' | 'absent'

/** Whether files are what the index has. */
export default class Verify extends DevpiCommand {
  static override summary = 'check whether files are those that stand in the index'
  static override description = 'Tells for each file whether the index has it with the same contents, since which serial, and who put it there. Exit code 1 unless all are.'
  static override examples = ['devpi verify dist/hello-1.0.tar.gz', 'devpi verify --index alice/prod dist/hello-1.0-py3-none-any.whl']
  static override strict = false
  static override args = { file: argument('one or more') }
  static override usage = 'verify FILE... [options]'
  static override flags = { index: INDEX_FLAG }

  async run(): Promise<object> {
    const { argv, flags } = await this.parse(Verify)
    const files = argv.map(String)
    if (files.length === 0) throw usageError('the following arguments are required: file')
    const context = await this.open(flags)
    const target = await findIndex(context, flags.index)
    const results = []
    for (const file of files) results.push(await verify(context, target, file))
    const ok = results.every(({ verdict }) => verdict === 'known')
    const result = { index: target.index, files: results, ok }
    if (!ok) throw new Failure('NOT_FOUND', 'not all files stand in the index as they are here', { result })
    return result
  }
}

async function verify(context: Context, target: IndexTarget, file: string): Promise<{ readonly file: string; readonly sha256: string; readonly verdict: Verdict; readonly href: string | null; readonly serial: number | null; readonly actor: string | null; readonly time: string | null }> {
  const path = resolve(context.cwd, file)
  const sha256 = await digestOf(path, context.surroundings.interrupted).catch((error: unknown) => {
    requireGoingOn(context.surroundings.interrupted)
    throw new Failure('CONFIG', `path does not exist: ${file}`, { cause: error })
  })
  const { name, filename } = await readDistribution(path, context.surroundings.interrupted)
  const links = await linksOf(context, target, name)
  const same = links.find((link) => link.sha256 === sha256)
  const other = links.find((link) => link.basename === filename)
  if (same === undefined) {
    const verdict = other === undefined ? 'absent' : 'different'
    context.terminal.line(other === undefined ? `${file}: not in ${target.index}` : `${file}: has other contents than ${other.href}`, 'error')
    return { file, sha256, verdict, href: other?.href ?? null, serial: null, actor: null, time: null }
  }
  const origin = await originOf(context, target, { link: same, project: name, sha256 })
  const who = origin === undefined ? uploaderOf(same) : `put there by ${origin.actor} at serial ${origin.serial}, ${origin.time}`
  context.terminal.info(`${file}: is ${same.href}${who === undefined ? '' : `, ${who}`}`)
  return { file, sha256, verdict: 'known', href: same.href, serial: origin?.serial ?? null, actor: origin?.actor ?? null, time: origin?.time ?? null }
}

async function linksOf({ client }: Context, target: IndexTarget, name: string): Promise<ProjectLink[]> {
  try {
    return (await readProject(client, target, normalizeName(name))).flatMap(({ links, shadowed }) => [...links, ...shadowed.flatMap((one) => one.links)])
  } catch (error) {
    if (error instanceof Failure && error.code === 'HTTP_404') return []
    throw error
  }
}

interface Wanted {
  readonly link: ProjectLink
  readonly project: string
  readonly sha256: string
}

/** The newest change that put the file there, on the index it lies on; undefined where the server tells nothing of changes. */
async function originOf({ client }: Context, target: IndexTarget, { link, project, sha256 }: Wanted): Promise<Change | undefined> {
  const [, name] = /^(.+)\/\+[ef]\//.exec(link.href) ?? []
  let origin: Change | undefined
  let since = -1
  for (;;) {
    const query = new URLSearchParams({ index: nameOfIndex({ root: target.root, index: name ?? target.index }), project, since: String(since), limit: '1000' })
    const reply = await client.api('GET', `${target.root}+changes?${query.toString()}`, { tolerate: 'all' })
    const result = reply.json?.['result']
    if (reply.status !== 200 || typeof result !== 'object' || result === null || !('changes' in result)) return undefined
    for (const value of listOf(result.changes)) {
      const change = changeOf(value)
      const files = change === undefined ? [] : [change.mutation['sha256'], ...listOf(change.mutation['files'])]
      if (change !== undefined && files.some((item) => item === sha256 || textOf(item) === link.basename)) origin = change
    }
    const next = 'next' in result ? result.next : undefined
    if (!('more' in result) || result.more !== true || typeof next !== 'number' || next <= since) return origin
    since = next
  }
}

function uploaderOf({ log }: ProjectLink): string | undefined {
  const who = textOf(log[0]?.['who'])
  return who === undefined ? undefined : `put there by ${who}`
}
