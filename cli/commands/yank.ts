import { DevpiCommand } from '../base-command.js'
import { INDEX_FLAG, requiredArgument, textFlag } from '../flags.js'
import { changeYank } from '../yank.js'

/** Keeps installers from choosing a release, without taking it away. */
export default class Yank extends DevpiCommand {
  static override summary = 'keep installers from choosing a release'
  static override description = 'A yanked release stays on the index, but installers pass it over unless it is pinned. SPEC is a requirement that names versions, or the URL of one file.'
  static override examples = ['devpi yank hello==1.1 --reason "does not greet"', 'devpi yank "hello<1.0"']
  static override args = { spec_or_url: requiredArgument('requirement with versions, or URL of a file') }
  static override flags = { index: INDEX_FLAG, reason: textFlag({ char: 'r', description: 'what installers tell', helpValue: 'TEXT' }) }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Yank)
    return await changeYank(await this.open(flags), { spec: args.spec_or_url, index: flags.index, yanked: flags.reason ?? true })
  }
}
