import * as Flags from '@oclif/core/flags'
import { DevpiCommand } from '../base-command.js'
import { argument } from '../flags.js'
import { requireServer } from '../place.js'
import { currentUser, modifyUser } from './user.js'

/** A new password. */
export default class Passwd extends DevpiCommand {
  static override summary = 'change a password'
  static override description = 'A login of this client goes on with the new password; all others of that user end.'
  static override examples = ['devpi passwd', 'devpi passwd alice --password-stdin < password.txt']
  static override args = { username: argument('whose; who is logged in unless given') }
  static override flags = { 'password-stdin': Flags.boolean({ description: 'read the new password from standard input' }) }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Passwd)
    const context = await this.open(flags)
    const target = requireServer(context)
    const user = args.username ?? currentUser(context, target)
    const password = flags['password-stdin'] ? await context.prompt.fromInput() : await context.prompt.newPassword(user)
    return await modifyUser(context, target, user, { password })
  }
}
