import { DevpiCommand } from '../../base-command.js'
import { textFlag } from '../../flags.js'
import { logTail, serverFolder } from '../../server-process.js'

/** What the server in the background wrote. */
export default class ServerLog extends DevpiCommand {
  static override summary = 'show the end of the log of the server in the background'
  static override description = 'With -v more of it.'
  static override examples = ['devpi server log']
  static override flags = { serverdir: textFlag({ description: 'where everything is stored, ~/.devpi/server unless told', helpValue: 'DIR' }) }

  async run(): Promise<object> {
    const { flags } = await this.parse(ServerLog)
    const context = await this.open(flags)
    const folder = serverFolder(context, flags.serverdir)
    const lines = await logTail(folder, context.verbose ? 1000 : 20)
    for (const line of lines) context.terminal.line(line)
    context.terminal.note(`logfile is at ${folder.logFile}`)
    return { path: folder.logFile, lines }
  }
}
