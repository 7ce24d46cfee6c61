import { DevpiCommand } from '../base-command.js'
import { requiredArgument } from '../flags.js'
import { objectOf } from '../json.js'
import { askPlace, indexAddress, requireLogin, requireServer } from '../place.js'
import { messageOf } from '../reply.js'

/** A new name for an index. */
export default class Rename extends DevpiCommand {
  static override summary = 'give an index another name'
  static override description = 'The old addresses lead to the new ones, and indexes that inherit from it follow. If it is the current index, it stays that.'
  static override examples = ['devpi rename dev stable', 'devpi rename alice/dev stable']
  static override args = { index: requiredArgument('NAME or USER/NAME'), name: requiredArgument('the new NAME') }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Rename)
    const context = await this.open(flags)
    const { root, index } = requireServer(context)
    requireLogin(context, root)
    const before = indexAddress(context, root, args.index)
    const reply = await context.client.api('PATCH', before, { type: 'indexconfig', json: { rename: args.name } })
    const url = new URL(encodeURIComponent(args.name), before).href
    if (index === before) await context.session.select(await askPlace(context, url))
    context.terminal.info(messageOf(reply) ?? `${before} is now ${url}`)
    return { url, result: objectOf(reply.json?.['result']) }
  }
}
