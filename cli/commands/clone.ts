import { DevpiCommand, pairsOf } from '../base-command.js'
import { usageError } from '../failure.js'
import { requiredArgument } from '../flags.js'
import { indexAddress, requireLogin, requireServer } from '../place.js'
import { objectOf } from '../json.js'
import { messageOf } from '../reply.js'

/** An index with the settings and contents of another. */
export default class Clone extends DevpiCommand {
  static override summary = 'make an index that is a copy of another'
  static override description = 'SOURCE is USER/NAME, or USER/NAME@SERIAL for the index as it was then. KEY=VALUE settings win over those of the source.'
  static override examples = ['devpi clone alice/dev release', 'devpi clone alice/dev@7 release volatile=False']
  static override strict = false
  static override args = { source: requiredArgument('USER/NAME or USER/NAME@SERIAL'), name: requiredArgument('NAME or USER/NAME of the new index') }
  static override usage = 'clone SOURCE NAME [KEY=VALUE...] [options]'

  async run(): Promise<object> {
    const { argv, flags } = await this.parse(Clone)
    const [source = '', name = '', ...keyValues] = argv.map(String)
    const settings = Object.fromEntries(pairsOf(keyValues))
    if (Object.keys(settings).some((key) => /[+-]$/.test(key))) throw usageError('a clone takes KEY=VALUE alone')
    const context = await this.open(flags)
    const { root } = requireServer(context)
    requireLogin(context, root)
    const url = indexAddress(context, root, name)
    const reply = await context.client.api('PUT', url, { type: 'indexconfig', json: { ...settings, clone: source } })
    context.terminal.info(`${url}: ${messageOf(reply) ?? `cloned from ${source}`}`)
    return { url, result: objectOf(reply.json?.['result']) }
  }
}
