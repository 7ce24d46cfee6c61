import { DevpiCommand } from '../base-command.js'
import { examine } from '../doctor.js'
import { Failure } from '../failure.js'

const STYLES = { ok: 'plain', warn: 'warning', error: 'error' } as const

/** Whether everything is as commands need it. */
export default class Doctor extends DevpiCommand {
  static override summary = 'check server, login, tools and settings, and say what to fix'
  static override description = 'Looks at the state of this client, the server and its certificate, the clock, the login, the index, the programs that commands run, and the files of installers. Exit code 1 when something is wrong.'
  static override examples = ['devpi doctor', 'devpi doctor --json']

  async run(): Promise<object> {
    const { flags } = await this.parse(Doctor)
    const context = await this.open(flags)
    const checks = await examine(context)
    for (const { id, status, detail, fix } of checks) {
      context.terminal.line(`${status.padEnd(5)} ${id}: ${detail}`, STYLES[status])
      if (fix !== undefined) context.terminal.line(`      fix: ${fix}`)
    }
    const wrong = checks.filter(({ status }) => status === 'error').length
    if (wrong > 0) throw new Failure('CONFIG', `${wrong} of ${checks.length} checks found something wrong`, { result: { checks } })
    return { checks }
  }
}
