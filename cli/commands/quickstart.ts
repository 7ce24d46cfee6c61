import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as Flags from '@oclif/core/flags'
import { type Context, DevpiCommand } from '../base-command.js'
import { Failure, requireGoingOn } from '../failure.js'
import { textFlag } from '../flags.js'
import { main } from '../main.js'
import { logTail, requireNoServer, runningServer, type ServerFolder, serverFolder, startServer, stopServer } from '../server-process.js'
import { DEFAULT_PORT, portOf } from './server/start.js'

/** A server, a user and an index, to begin with. */
export default class Quickstart extends DevpiCommand {
  static override summary = 'start a server and make a user and an index, to begin with'
  static override description = 'Does the first steps in one go: starts a server in the background, creates a user, logs in, creates an index and selects it. Each step is shown as the command that does it.'
  static override examples = ['devpi quickstart', 'devpi quickstart --user alice --index dev --port 4000', 'devpi quickstart --dry-run']
  static override flags = {
    user: textFlag({ description: 'user to create [USER, else test]', helpValue: 'NAME' }),
    password: textFlag({ description: 'password of the user, empty unless told', helpValue: 'PASSWORD' }),
    index: textFlag({ description: 'index to create, dev unless told', helpValue: 'NAME' }),
    port: textFlag({ description: `port of the server, ${DEFAULT_PORT} unless told`, helpValue: 'PORT' }),
    'dry-run': Flags.boolean({ description: 'only show the commands' }),
  }

  async run(): Promise<object> {
    const { flags } = await this.parse(Quickstart)
    const port = portOf(flags.port)
    const context = await this.open(flags)
    const user = flags.user ?? (context.env['USER'] === undefined || context.env['USER'] === '' || context.env['USER'] === 'root' ? 'test' : context.env['USER'])
    const index = flags.index ?? 'dev'
    const url = `http://localhost:${port}`
    const password = flags.password ?? ''
    const folder = serverFolder(context, join(dirname(context.session.clientDir), 'server'))
    const steps = [['use', url], ['user', '-c', user, `password=${password}`], ['login', user, `--password=${password}`], ['index', '-c', index], ['use', index]]
    const start = port === DEFAULT_PORT ? 'devpi-server --start' : `devpi-server --start --port ${port}`
    if (flags['dry-run']) {
      for (const line of [start, ...steps.map((words) => `devpi ${shown(words)}`)]) echo(context, line)
      return { url, user, index, dryRun: true }
    }
    requireFresh(context, folder)
    await requireNoServer(folder)
    echo(context, start)
    try {
      await startServer(context, folder, { port })
      for (const line of await logTail(folder)) context.terminal.line(line)
      for (const words of steps) await step(context, words)
    } catch (error) {
      await giveUp(context, folder)
      throw error
    }
    printHints(context, { user, index, url })
    return { url, user, index, dryRun: false }
  }
}

function requireFresh({ session }: Context, { serverDir }: ServerFolder): void {
  const found = [session.clientDir, serverDir].find((path) => existsSync(path))
  if (found === undefined) return
  throw new Failure('CONFIG', `${found} exists already`, {
    hint: `quickstart is for the first steps only; to begin anew, run \`devpi-server --stop\` and delete ${dirname(serverDir)}`,
  })
}

function echo({ terminal, cwd }: Context, command: string): void {
  terminal.note(`-->  ${cwd}$ ${command}`)
}

function shown(words: readonly string[]): string {
  return words.map((word) => word.replace(/(password=).+/, '$1****')).join(' ')
}

/** Runs the command as if it had been typed. */
async function step(context: Context, words: readonly string[]): Promise<void> {
  context.terminal.line('')
  echo(context, `devpi ${shown(words)}`)
  const { surroundings, terminal } = context
  const quiet = terminal.json ? { writeOut: surroundings.writeErr } : {}
  const code = await main([...words, '--clientdir', context.session.clientDir], { ...surroundings, ...quiet })
  requireGoingOn(surroundings.interrupted)
  if (code !== 0) throw new Failure('CONFIG', `devpi ${words[0] ?? ''} ended with ${code}`)
}

/** What was begun is of no use, and would only be in the way of the next try: nothing of it was there before. */
async function giveUp({ terminal, session }: Context, folder: ServerFolder): Promise<void> {
  if ((await runningServer(folder)) !== undefined) {
    terminal.note('')
    terminal.note('stopping server because of failure', 'bold')
    await stopServer(folder)
  }
  for (const path of [session.clientDir, folder.serverDir]) await rm(path, { recursive: true, force: true })
}

function printHints({ terminal }: Context, { user, index, url }: { readonly user: string; readonly index: string; readonly url: string }): void {
  terminal.line('')
  terminal.line(`COMPLETED!  you can now work with your '${index}' index`)
  const hints = [
    ['devpi install PKG', 'install a package from the index'],
    ['devpi upload', 'build and upload the project in the current folder'],
    ['devpi test PKG', 'download a package, test it and attach the report'],
    ['devpi push ...', 'push a release to another index'],
    ['devpi index ...', 'show, create and change indexes'],
    ['devpi use ...', 'select another server or index'],
    ['devpi user ...', `show and change users, such as ${user}`],
    ['devpi CMD -h', 'help for a command'],
    ['devpi -h', 'all commands'],
  ] as const
  for (const [command, meaning] of hints) terminal.line(`  ${command.padEnd(19)} ${meaning}`)
  terminal.line(`docs at ${url}/+openapi.json`)
}
