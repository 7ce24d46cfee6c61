import { DevpiCommand } from '../../base-command.js'
import { textFlag } from '../../flags.js'
import { serverFolder, stopServer } from '../../server-process.js'

/** Ends the server in the background. */
export default class ServerStop extends DevpiCommand {
  static override summary = 'stop the server in the background'
  static override description = 'Waits until it is gone. That none runs is no failure.'
  static override examples = ['devpi server stop']
  static override flags = { serverdir: textFlag({ description: 'where everything is stored, ~/.devpi/server unless told', helpValue: 'DIR' }) }

  async run(): Promise<object> {
    const { flags } = await this.parse(ServerStop)
    const context = await this.open(flags)
    const pid = await stopServer(serverFolder(context, flags.serverdir))
    if (pid === undefined) context.terminal.error('no server found')
    else context.terminal.line(`killed server pid=${pid}`)
    return { pid: pid ?? null }
  }
}
