import { DevpiCommand, pairsOf, splitKeyValues } from '../../base-command.js'
import { usageError } from '../../failure.js'
import { argument, INDEX_FLAG } from '../../flags.js'
import { type JsonObject, listOf, objectOf, spoken, textOf } from '../../json.js'
import { findIndex } from '../../place.js'
import { hiddenText } from '../../policies.js'
import { address } from '../../urls.js'

/** What another policy would do. */
export default class PolicySimulate extends DevpiCommand {
  static override summary = 'tell what a policy would hide on an index, without setting it'
  static override description = `OPTION=VALUE as for \`devpi index\`: min_release_age, freeze_at, constraints and policy_exemptions, laid over those that the index has;
an empty value takes one away. Without projects, of all that are known to the server. -v shows the files.`
  static override examples = ['devpi policy simulate min_release_age=7d', "devpi policy simulate 'constraints=requests>=2.31,!leftpad' requests leftpad -v"]
  static override strict = false
  static override args = { words: argument('OPTION=VALUE, one or more, and projects') }
  static override usage = 'policy simulate OPTION=VALUE... [PROJECT...] [options]'
  static override flags = { index: INDEX_FLAG }

  async run(): Promise<object> {
    const { argv, flags } = await this.parse(PolicySimulate)
    const { names, keyValues } = splitKeyValues(argv.map(String))
    if (keyValues.length === 0) throw usageError('the following arguments are required: OPTION=VALUE')
    const context = await this.open(flags)
    const { client, terminal } = context
    const target = await findIndex(context, flags.index)
    const options = Object.fromEntries(pairsOf(keyValues).map(([key, value]) => [key, value === '' ? null : value]))
    const body = { ...options, ...(names.length > 0 && { projects: names }) }
    const projects: JsonObject[] = []
    const looked = { projects: 0, files: 0, hides: 0 }
    for (let after: string | undefined; ; ) {
      const result = await client.result('POST', address(target.index, '+policy-simulate'), 'policysimulation', { ...body, ...(after !== undefined && { after }) })
      for (const project of listOf(result['projects']).map(objectOf)) {
        projects.push(project)
        terminal.line(projectText(project))
        for (const file of flags.verbose ? listOf(project['hidden']).map(objectOf) : []) terminal.line(`  ${hiddenText(file)}`)
      }
      const counts = objectOf(result['looked'])
      for (const key of ['projects', 'files', 'hides'] as const) looked[key] += Number(counts[key] ?? 0)
      const next = textOf(result['next'])
      if (next === undefined || next === after) break
      after = next
    }
    terminal.info(`${looked.hides} of ${looked.files} files in ${looked.projects} projects would be hidden`)
    return { projects, looked }
  }
}

function projectText({ project, files, hides, shows, newest }: JsonObject): string {
  const { now, then } = objectOf(newest)
  const more = Number(shows) > 0 ? `, ${spoken(shows)} hidden ones shown` : ''
  const latest = now === then ? '' : `, newest ${textOf(now) ?? 'none'} -> ${textOf(then) ?? 'none'}`
  return `${spoken(project)}: ${spoken(hides)} of ${spoken(files)} files hidden${more}${latest}`
}
