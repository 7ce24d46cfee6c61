import { DevpiCommand } from '../../base-command.js'
import { Failure } from '../../failure.js'
import { textFlag } from '../../flags.js'
import { runningServer, serverFolder } from '../../server-process.js'

/** Whether a server runs in the background. */
export default class ServerStatus extends DevpiCommand {
  static override summary = 'tell whether a server runs in the background'
  static override description = 'Exit code 1 when none does.'
  static override examples = ['devpi server status']
  static override flags = { serverdir: textFlag({ description: 'where everything is stored, ~/.devpi/server unless told', helpValue: 'DIR' }) }

  async run(): Promise<object> {
    const { flags } = await this.parse(ServerStatus)
    const context = await this.open(flags)
    const known = await runningServer(serverFolder(context, flags.serverdir))
    if (known === undefined) throw new Failure('NO_SERVER', 'no server is running')
    context.terminal.line(`server is running at ${known.url} pid=${known.pid}`)
    return known
  }
}
