import * as Flags from '@oclif/core/flags'
import { DevpiCommand } from '../base-command.js'
import { objectOf, textOf } from '../json.js'
import { Failure } from '../failure.js'

/** The versions of the client and of the server it works with. */
export default class Version extends DevpiCommand {
  static override summary = 'show the version of the client and of the current server'
  static override description = 'A server that does not answer is left out.'
  static override examples = ['devpi version', 'devpi version --short']
  static override flags = { short: Flags.boolean({ description: 'only the number of the client' }) }

  async run(): Promise<object> {
    const { flags } = await this.parse(Version)
    const { session, client, terminal } = await this.open(flags)
    const own = this.config.version
    const result = { client: own, node: process.versions.node, plugins: [] }
    if (flags.short) {
      terminal.line(own)
      return result
    }
    terminal.line(`devpi-client ${own}`)
    const { root } = session
    const versions = root === undefined ? undefined : await serverVersions(() => client.result('GET', `${root}+status`, 'status'))
    if (root === undefined || versions === undefined) return result
    terminal.line('')
    terminal.info(`current devpi server: ${root}`)
    for (const [name, version] of Object.entries(versions)) terminal.line(`    ${name} ${version}`)
    return { ...result, server: { url: root, versions } }
  }
}

async function serverVersions(ask: () => Promise<object>): Promise<Record<string, string> | undefined> {
  try {
    const { versioninfo } = objectOf(await ask())
    return Object.fromEntries(Object.entries(objectOf(versioninfo)).flatMap(([name, version]) => (textOf(version) === undefined ? [] : [[name, String(version)]])))
  } catch (error) {
    if (error instanceof Failure) return undefined
    throw error
  }
}
