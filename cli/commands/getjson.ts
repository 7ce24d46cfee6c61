import { DevpiCommand } from '../base-command.js'
import { Failure } from '../failure.js'
import { documentText, documentUrl } from '../document-url.js'
import { requiredArgument } from '../flags.js'
import { maskUrl } from '../urls.js'

/** One document of the JSON interface, as it is. */
export default class Getjson extends DevpiCommand {
  static override summary = 'print a JSON document of the server'
  static override description = 'PATH_OR_URL counts from the server when it begins with a slash, else from the current index. With -v the reply headers are shown first.'
  static override examples = ['devpi getjson /alice/dev', 'devpi getjson hello', "devpi getjson '/alice/dev?no_projects='"]
  static override args = { path: requiredArgument('path or URL of the document') }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Getjson)
    const context = await this.open(flags)
    const { client, terminal } = context
    const url = documentUrl(context, args.path)
    const reply = await client.api('GET', url, { checkVersion: false })
    if (context.verbose) {
      terminal.line(`GET REQUEST sent to ${maskUrl(url)}`)
      for (const [name, value] of Object.entries(reply.headers).sort(([a], [b]) => (a < b ? -1 : 1))) terminal.line(`${name.toUpperCase()}: ${value}`)
      terminal.line('')
    }
    if (reply.json === undefined) throw new Failure('API_VERSION', `${maskUrl(reply.url)} answers, but not with a JSON document`)
    terminal.line(documentText(reply.json))
    return reply.json
  }
}
