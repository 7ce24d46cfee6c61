import { DevpiCommand } from '../../base-command.js'
import { usageError } from '../../failure.js'
import { textFlag } from '../../flags.js'
import { serverFolder, startServer } from '../../server-process.js'

export const DEFAULT_PORT = 3141

/** A server in the background. */
export default class ServerStart extends DevpiCommand {
  static override summary = 'start a server in the background'
  static override description = 'For this machine, with what it needs in ~/.devpi/server. A server for others is better run by the system: see `devpi-server --help`.'
  static override examples = ['devpi server start', 'devpi server start --port 4000 --serverdir /srv/devpi']
  static override flags = {
    port: textFlag({ description: `port to listen on, ${DEFAULT_PORT} unless told`, helpValue: 'PORT' }),
    serverdir: textFlag({ description: 'where everything is stored, ~/.devpi/server unless told', helpValue: 'DIR' }),
  }

  async run(): Promise<object> {
    const { flags } = await this.parse(ServerStart)
    const port = portOf(flags.port)
    const context = await this.open(flags)
    return await startServer(context, serverFolder(context, flags.serverdir), { port })
  }
}

export function portOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_PORT
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN
  if (port >= 1 && port <= 65_535) return port
  throw usageError(`argument --port: '${text}' is no port`)
}
