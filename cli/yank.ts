import type { Context } from './base-command.js'
import { Failure } from './failure.js'
import { findIndex, requireServer } from './place.js'
import { isOn, readProject, releaseFiles } from './project.js'
import { parseRequirement } from './requirement.js'
import { address, isBelow, isHttp, maskUrl } from './urls.js'

export interface YankRequest {
  readonly spec: string
  readonly index: string | undefined
  /** True, the reason, or false to take it back (PEP 592). */
  readonly yanked: boolean | string
}

/** Yanks, or takes back the yank of, one file or the versions that a requirement names. */
export async function changeYank(context: Context, { spec, index, yanked }: YankRequest): Promise<object> {
  const { client, terminal } = context
  const done = yanked === false ? 'no longer yanked:' : 'yanked'
  if (isHttp(spec)) {
    if (!isBelow(spec, requireServer(context).root)) throw new Failure('CONFIG', `${maskUrl(spec)} is not on the current server`)
    await client.api('PATCH', spec, { json: { yanked } })
    terminal.info(`${done} ${maskUrl(spec)}`)
    return { yanked, files: [maskUrl(spec)], versions: [] }
  }
  const requirement = parseRequirement(spec)
  if (requirement.isBare) throw new Failure('CONFIG', `'${spec}' names no version`, { hint: `all of them are "${requirement.project}>=0"` })
  const target = await findIndex(context, index)
  const found = (await readProject(client, target, requirement.project, '?ignore_bases=')).filter((one) => requirement.matches(one.version) && releaseFiles(one).some((file) => isOn(file, target)))
  if (found.length === 0) throw new Failure('NOT_FOUND', `No releases or distributions found matching '${spec}'.`)
  const versions = found.map(({ version }) => version).reverse()
  for (const version of versions) {
    await client.api('PATCH', address(target.index, requirement.project, version), { json: { yanked } })
    terminal.info(`${done} ${requirement.project} ${version}`)
  }
  return { yanked, files: [], versions }
}
