import * as Flags from '@oclif/core/flags'
import { type Context, DevpiCommand } from '../base-command.js'
import { Failure } from '../failure.js'
import { INDEX_FLAG, requiredArgument } from '../flags.js'
import { findIndex, type IndexTarget, requireServer } from '../place.js'
import { isOn, type ProjectVersion, readProject } from '../project.js'
import { parseRequirement, type Requirement } from '../requirement.js'
import { address, isBelow, isHttp, maskUrl } from '../urls.js'

/** Takes releases or files off an index. */
export default class Remove extends DevpiCommand {
  static override summary = 'remove projects, versions or files from an index'
  static override description = `A name removes the whole project, a requirement the matching versions, a URL one file. Only what is on the index itself is
removed. The reply says a serial with which \`devpi undo\` puts it back.`
  static override examples = ['devpi remove hello', 'devpi remove -y "hello<1.0"', 'devpi remove --force hello==1.0']
  static override args = { spec_or_url: requiredArgument('project, requirement, or URL of a file') }
  static override flags = {
    force: Flags.boolean({ char: 'f', description: 'also from an index that is not volatile' }),
    index: INDEX_FLAG,
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Remove)
    const context = await this.open(flags)
    const query = flags.force ? '?force=' : ''
    if (isHttp(args.spec_or_url)) return await removeFile(context, args.spec_or_url, query)
    const requirement = parseRequirement(args.spec_or_url)
    return await removeReleases(context, await findIndex(context, flags.index), { requirement, spec: args.spec_or_url, query })
  }
}

async function removeFile(context: Context, url: string, query: string): Promise<object> {
  const { terminal, prompt, client } = context
  const { root } = requireServer(context)
  if (!isBelow(url, root)) throw new Failure('CONFIG', `${maskUrl(url)} is not on the current server ${root}`, { hint: 'select its server first: `devpi use URL`' })
  const { origin, pathname } = new URL(url)
  terminal.info('About to remove the following file:')
  terminal.info(origin + pathname)
  if (!(await prompt.confirm())) return declined(context)
  const reply = await client.api('DELETE', origin + pathname + query)
  terminal.info(`deleted ${origin}${pathname}`)
  return { removed: [{ files: [origin + pathname] }], serial: serialOf(reply.headers) }
}

interface Removal {
  readonly requirement: Requirement
  readonly spec: string
  readonly query: string
}

async function removeReleases(context: Context, target: IndexTarget, { requirement, spec, query }: Removal): Promise<object> {
  const { terminal, prompt, client } = context
  const { project, isBare } = requirement
  const versions = await readProject(client, target, project, '?ignore_bases=')
  const found = versions.filter(({ version }) => requirement.matches(version)).map((version) => ownPart(version, target)).filter(({ files }) => files.length > 0).reverse()
  if (found.length === 0) throw new Failure('NOT_FOUND', `No releases or distributions found matching '${spec}'.`)

  terminal.info('About to remove the following releases and distributions')
  for (const { version, files } of found) {
    terminal.info(`version: ${version}`)
    for (const file of files) terminal.info(`  - ${file}`)
  }
  if (!(await prompt.confirm())) return declined(context)
  const base = address(target.index, project)
  let serial: number | null = null
  if (isBare) {
    const reply = await client.api('DELETE', `${base}/${query}`)
    serial = serialOf(reply.headers)
  }
  for (const { version } of found) {
    terminal.info(`deleting release ${version} of ${project}`)
    if (!isBare) serial = serialOf((await client.api('DELETE', address(base, version) + query)).headers)
  }
  return { removed: found, serial }
}

/** Files of every kind that lie on the index itself. */
function ownPart(version: ProjectVersion, target: IndexTarget): { readonly version: string; readonly files: readonly string[] } {
  return { version: version.version, files: version.links.filter((link) => isOn(link, target)).map(({ href }) => href) }
}

function declined({ terminal }: Context): object {
  terminal.error('not deleting anything')
  return { removed: [] }
}

/** Of the entry that holds the removal: what an undo names. */
function serialOf(headers: Readonly<Record<string, string>>): number | null {
  const serial = Number(headers['x-devpi-serial'])
  return Number.isSafeInteger(serial) ? serial : null
}
