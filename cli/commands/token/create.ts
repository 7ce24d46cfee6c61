import { DevpiCommand } from '../../base-command.js'
import { Failure } from '../../failure.js'
import { requiredArgument, textFlag } from '../../flags.js'
import { findTarget, nameOfIndex, requireLogin, requireUser } from '../../place.js'
import { address } from '../../urls.js'

/** A token for a machine. */
export default class TokenCreate extends DevpiCommand {
  static override summary = 'create an API token'
  static override description = 'The token is shown this once. It may do the named actions on the named indexes: the current one unless told, "*" for all.'
  static override examples = ['devpi token create "ci of hello" --actions upload,read --expires 2030-01-31', 'devpi token create mirror --actions read --indexes "*"']
  static override args = { name: requiredArgument('what to call it') }
  static override flags = {
    actions: textFlag({ description: 'of read, upload, delete, admin, separated by commas; upload unless told' }),
    indexes: textFlag({ description: 'USER/NAME, separated by commas, or *' }),
    expires: textFlag({ description: 'day or moment of its end', helpValue: 'DATE' }),
    user: textFlag({ description: 'whose; who is logged in unless told', helpValue: 'USER' }),
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(TokenCreate)
    const context = await this.open(flags)
    const target = await findTarget(context, undefined)
    requireLogin(context, target.root)
    const indexes = flags.indexes?.split(',') ?? (target.index === undefined ? undefined : [nameOfIndex({ root: target.root, index: target.index })])
    if (indexes === undefined) throw new Failure('NO_INDEX', 'no index in use', { hint: 'name indexes with --indexes' })
    const body = { name: args.name, actions: (flags.actions ?? 'upload').split(','), indexes, ...(flags.expires !== undefined && { expires: flags.expires }) }
    const user = flags.user ?? requireUser(context, target.root)
    const result = await context.client.result('POST', `${address(target.root, user)}/+tokens`, 'tokenconfig', body)
    context.terminal.line(String(result['token']))
    context.terminal.note(`token ${String(result['id'])} of ${user} is shown this once, keep it`)
    return result
  }
}
