import * as Flags from '@oclif/core/flags'
import { DevpiCommand } from '../base-command.js'
import { requireServer } from '../place.js'

/** Forgets a login. */
export default class Logoff extends DevpiCommand {
  static override summary = 'forget the login of the current user'
  static override description = 'Nothing is sent: the server goes on to accept the token until it expires. API tokens are revoked with `devpi token revoke`.'
  static override examples = ['devpi logoff', 'devpi logout --all']
  static override aliases = ['logout']
  static override flags = { all: Flags.boolean({ description: 'forget the logins of all users of this server' }) }

  async run(): Promise<object> {
    const { flags } = await this.parse(Logoff)
    const context = await this.open(flags)
    const { session, terminal } = context
    const { root } = requireServer(context)
    const user = session.userAt(root)
    if (!flags.all && (user === undefined || !session.hasLogin(root, user))) {
      terminal.error('not logged in')
      return { user: null, root }
    }
    await session.logOff(root, flags.all ? undefined : user)
    terminal.info('login information deleted')
    return { user: user ?? null, root }
  }
}
