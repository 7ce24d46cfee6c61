import { DevpiCommand } from '../../base-command.js'
import { objectOf, spoken, textOf } from '../../json.js'
import { textFlag } from '../../flags.js'
import { requireLogin, requireServer, requireUser } from '../../place.js'
import { address } from '../../urls.js'

/** The tokens of a user, without their secrets. */
export default class TokenList extends DevpiCommand {
  static override summary = 'list API tokens'
  static override description = 'Expired ones too.'
  static override examples = ['devpi token list', 'devpi token list --user alice']
  static override flags = { user: textFlag({ description: 'whose; who is logged in unless told', helpValue: 'USER' }) }

  async run(): Promise<object> {
    const { flags } = await this.parse(TokenList)
    const context = await this.open(flags)
    const { root } = requireServer(context)
    requireLogin(context, root)
    const user = flags.user ?? requireUser(context, root)
    const result = await context.client.result('GET', `${address(root, user)}/+tokens`, 'list:tokenconfig')
    const tokens = Object.entries(result).map(([id, value]) => ({ id, ...objectOf(value) }))
    for (const token of tokens) {
      const { id, name, actions, indexes, expires, expired } = objectOf(token)
      const end = expired === true ? 'expired' : textOf(expires) === undefined ? 'without end' : `until ${spoken(expires)}`
      context.terminal.info(`${spoken(id)}  ${spoken(name)}: ${spoken(actions)} on ${spoken(indexes)}, ${end}`)
    }
    return { tokens }
  }
}
