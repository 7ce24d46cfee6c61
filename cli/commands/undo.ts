import { DevpiCommand } from '../base-command.js'
import { usageError } from '../failure.js'
import { requiredArgument } from '../flags.js'
import { requireServer } from '../place.js'
import { messageOf } from '../reply.js'

/** Puts back what a removal took. */
export default class Undo extends DevpiCommand {
  static override summary = 'put back what a removal took'
  static override description = 'SERIAL is that of the removal: `devpi changes` shows it, and `devpi remove --json` prints it.'
  static override examples = ['devpi undo 12']
  static override args = { serial: requiredArgument('serial of the removal') }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Undo)
    if (!/^\d{1,15}$/.test(args.serial)) throw usageError(`argument serial: '${args.serial}' is no whole number`)
    const context = await this.open(flags)
    const { root } = requireServer(context)
    const reply = await context.client.api('POST', `${root}+undo`, { json: { serial: Number(args.serial) } })
    const message = messageOf(reply) ?? `the removal at serial ${args.serial} is undone`
    context.terminal.info(message)
    return { undone: Number(args.serial), message }
  }
}
