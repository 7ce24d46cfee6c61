import { type Context, DevpiCommand } from '../base-command.js'
import { type CompletedCommand, completionScript, SHELLS } from '../completion.js'
import { Failure, usageError } from '../failure.js'
import { argument, requiredArgument } from '../flags.js'
import { objectOf, textsOf } from '../json.js'

/** What the arguments of commands are, where it is not files. */
const NAMES: Readonly<Record<string, CompletedCommand['names']>> = {
  use: 'indexes', index: 'indexes', clone: 'indexes', rename: 'indexes',
  list: 'projects', remove: 'projects', test: 'projects', install: 'projects', refresh: 'projects', push: 'projects', yank: 'projects', unyank: 'projects', changes: 'projects',
  user: 'users', login: 'users', passwd: 'users',
}
const KINDS = ['indexes', 'projects', 'users'] as const

/** For shells. */
export default class Completion extends DevpiCommand {
  static override summary = 'print what a shell needs to complete commands, options and names'
  static override description = `For bash: eval "$(devpi completion bash)". For zsh the same with zsh. For fish: devpi completion fish | source.
\`devpi completion names indexes\`, or projects or users, prints the names that are completed.`
  static override examples = ['devpi completion bash', 'devpi completion names indexes']
  static override args = { shell: requiredArgument('bash, zsh, fish, or names'), kind: argument('of names: indexes, projects or users') }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Completion)
    const context = await this.open(flags)
    if (args.shell === 'names') {
      const kind = KINDS.find((known) => known === args.kind)
      if (kind === undefined) throw usageError(`names of what? of ${KINDS.join(', ')}`)
      const names = await namesOf(context, kind)
      for (const name of names) context.terminal.line(name)
      return { names }
    }
    const shell = SHELLS.find((known) => known === args.shell)
    if (shell === undefined) throw usageError(`'${args.shell}' is none of ${SHELLS.join(', ')}, names`)
    const commands = this.config.commands.filter(({ hidden }) => !hidden).map(({ id, summary = '', flags: known }) => ({
      words: id.replaceAll(':', ' '),
      summary,
      flags: Object.values(known).filter(({ hidden }) => hidden !== true).map(({ name, char }) => ({ name, char })),
      names: NAMES[id] ?? 'files',
    }))
    const script = completionScript(shell, commands)
    context.terminal.line(script.trimEnd())
    return { shell, script }
  }
}

/** Nothing rather than a failure: a shell has no place to show it. */
async function namesOf({ session, client }: Context, kind: (typeof KINDS)[number]): Promise<string[]> {
  const { root, place } = session
  if (root === undefined) return []
  try {
    if (kind === 'projects') return place?.index === undefined ? [] : textsOf((await client.result('GET', place.index, 'indexconfig'))['projects'])
    const users = await client.result('GET', root, 'list:userconfig')
    if (kind === 'users') return Object.keys(users)
    return Object.entries(users).flatMap(([user, config]) => Object.keys(objectOf(objectOf(config)['indexes'])).map((index) => `${user}/${index}`))
  } catch (error) {
    if (error instanceof Failure) return []
    throw error
  }
}
