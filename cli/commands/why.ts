import { DevpiCommand } from '../base-command.js'
import { INDEX_FLAG, requiredArgument } from '../flags.js'
import { listOf, objectOf, spoken, textOf, textsOf } from '../json.js'
import { findIndex } from '../place.js'
import { hiddenText } from '../policies.js'
import { address } from '../urls.js'

const FEW = 20

/** Why an installer is shown what it is shown. */
export default class Why extends DevpiCommand {
  static override summary = 'explain what an installer is shown of a project, and why'
  static override description = `Each index in the order in which they are asked, what it has, what became of it, and which files are hidden by which rule until when:
the first ${FEW} of them, or with -v all that the server names.`
  static override examples = ['devpi why hello', 'devpi why requests --index acme/prod -v']
  static override args = { project: requiredArgument('project') }
  static override flags = { index: INDEX_FLAG }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Why)
    const context = await this.open(flags)
    const { client, terminal } = context
    const target = await findIndex(context, flags.index)
    const why = await client.result('GET', address(target.index, '+why', args.project), 'why')
    for (const one of listOf(why['asked']).map(objectOf)) {
      const { files, shown, hidden, outranked } = one
      const has = files === undefined ? '' : `: ${spoken(files)} files, ${spoken(shown)} shown, ${spoken(hidden)} hidden, ${spoken(outranked)} with a name taken before`
      terminal.line(`${spoken(one['index'])} ${spoken(one['decision'])}${has} (${spoken(one['reason'])})`)
    }
    const { open, reason } = objectOf(why['mirrors'])
    terminal.line(`mirrors are ${open === true ? 'open' : 'closed'}: ${spoken(reason)}`)
    const sees = objectOf(why['sees'])
    terminal.info(`${spoken(why['project'])}: ${spoken(sees['files'])} files of ${textsOf(sees['versions']).length} versions, the newest is ${textOf(sees['newest']) ?? 'none'}`)
    const hidden = listOf(why['hidden']).map(objectOf)
    const told = flags.verbose ? hidden : hidden.slice(0, FEW)
    for (const file of told) terminal.line(`  ${hiddenText(file)}`)
    if (Number(why['hiddenCount']) > told.length) terminal.line(`  and ${String(Number(why['hiddenCount']) - told.length)} more`)
    for (const { file, index, sha256, others } of listOf(why['disagreements']).map(objectOf)) {
      const stated = listOf(others).map(objectOf).map((other) => `${spoken(other['upstream'])} states ${spoken(other['sha256'])}`)
      terminal.line(`  ${spoken(file)} of ${spoken(index)} is served with sha256 ${spoken(sha256)} alone; ${stated.join(', ')}`)
    }
    return why
  }
}
