import { DevpiCommand } from '../../base-command.js'
import { requiredArgument, textFlag } from '../../flags.js'
import { requireLogin, requireServer, requireUser } from '../../place.js'
import { messageOf } from '../../reply.js'
import { address } from '../../urls.js'

/** Ends a token. */
export default class TokenRevoke extends DevpiCommand {
  static override summary = 'revoke an API token'
  static override description = 'No request that begins after the answer is accepted with it.'
  static override examples = ['devpi token revoke 3f2a9c']
  static override args = { id: requiredArgument('as `devpi token list` shows it') }
  static override flags = { user: textFlag({ description: 'whose; who is logged in unless told', helpValue: 'USER' }) }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(TokenRevoke)
    const context = await this.open(flags)
    const { root } = requireServer(context)
    requireLogin(context, root)
    const user = flags.user ?? requireUser(context, root)
    const reply = await context.client.api('DELETE', `${address(root, user)}/+tokens/${encodeURIComponent(args.id)}`)
    context.terminal.info(messageOf(reply) ?? `token ${args.id} revoked`)
    return { revoked: args.id, user }
  }
}
