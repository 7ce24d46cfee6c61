import { DevpiCommand } from '../base-command.js'
import { Failure, usageError } from '../failure.js'
import { argument, INDEX_FLAG } from '../flags.js'
import { findIndex } from '../place.js'
import { messageOf } from '../reply.js'
import { address } from '../urls.js'

/** Lets a mirror ask its upstream again. */
export default class Refresh extends DevpiCommand {
  static override summary = 'let a mirror look at its upstream again for projects'
  static override description = 'The server forgets what it remembered of the upstream pages of these projects and fetches them anew.'
  static override examples = ['devpi refresh hello --index root/pypi']
  static override strict = false
  static override args = { pkg: argument('project; one or more') }
  static override usage = 'refresh PKG... [options]'
  static override flags = { index: INDEX_FLAG }

  async run(): Promise<object> {
    const { argv, flags } = await this.parse(Refresh)
    const names = argv.map(String)
    if (names.length === 0) throw usageError('the following arguments are required: pkg')
    const context = await this.open(flags)
    const target = await findIndex(context, flags.index)
    const projects = []
    for (const name of names) {
      const url = `${address(target.simpleindex, name)}/refresh`
      const reply = await context.client.send({ method: 'POST', url, headers: { accept: '*/*' }, thenLook: true })
      const ok = reply.status < 400
      if (ok) context.terminal.info(`Refreshed ${name}`)
      else context.terminal.error(`Couldn't refresh ${name} via ${url}: ${reply.status} ${messageOf(reply) ?? reply.reason}`)
      projects.push({ name, status: reply.status, ok })
    }
    if (!projects.every(({ ok }) => ok)) throw new Failure('NOT_FOUND', '', { result: { projects } })
    return { projects }
  }
}
