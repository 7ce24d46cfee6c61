import { DevpiCommand } from '../base-command.js'
import { INDEX_FLAG, requiredArgument } from '../flags.js'
import { changeYank } from '../yank.js'

/** Takes a yank back. */
export default class Unyank extends DevpiCommand {
  static override summary = 'let installers choose a yanked release again'
  static override description = 'SPEC is a requirement that names versions, or the URL of one file.'
  static override examples = ['devpi unyank hello==1.1']
  static override args = { spec_or_url: requiredArgument('requirement with versions, or URL of a file') }
  static override flags = { index: INDEX_FLAG }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Unyank)
    return await changeYank(await this.open(flags), { spec: args.spec_or_url, index: flags.index, yanked: false })
  }
}
