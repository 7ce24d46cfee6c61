import * as Flags from '@oclif/core/flags'
import { type Context, DevpiCommand } from '../base-command.js'
import { Failure } from '../failure.js'
import { argument, textFlag } from '../flags.js'
import { reportIndexAccess } from '../index-status.js'
import { objectOf, textOf } from '../json.js'
import { requireServer, type Target } from '../place.js'
import { storedPassword } from '../stored-passwords.js'

/** Trades a password for a token, which the commands after it send. */
export default class Login extends DevpiCommand {
  static override summary = 'log in to the server'
  static override description = `The password is asked for unless it is given, or the keyring of the system (with the
program \`keyring\`) or ~/.netrc has it. Scripts give it with --password-stdin, or use DEVPI_USER and DEVPI_PASSWORD,
or DEVPI_TOKEN, with which no login is needed. With --token an API token is stored instead of a login.`
  static override examples = ['devpi login alice', 'devpi login alice --password-stdin < password.txt', 'devpi login alice --token devpi_...']
  static override args = { username: argument('who to log in as; asked for unless given') }
  static override flags = {
    password: textFlag({ description: 'the password; - reads it from standard input', exclusive: ['token', 'password-stdin'] }),
    'password-stdin': Flags.boolean({ description: 'read the password from standard input', exclusive: ['token'] }),
    token: textFlag({ description: 'an API token to store and send from now on' }),
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Login)
    const context = await this.open(flags)
    const target = requireServerForLogin(context)
    const user = args.username ?? (await context.prompt.text('user name: ', 'USERNAME'))
    if (flags.token !== undefined) return await keepToken(context, target, user, flags.token)

    const password = await passwordFor(context, target, user, flags)
    const reply = await context.client.api('POST', target.login, { json: { user, password }, type: 'proxyauth' })
    const { password: token, expiration } = objectOf(reply.json?.['result'])
    const seconds = typeof expiration === 'number' ? expiration : undefined
    if (typeof token !== 'string' || token === '') throw new Failure('API_VERSION', `${target.login} answers without a token`)
    const expiresAt = seconds === undefined ? undefined : Math.floor(context.surroundings.now() / 1000) + seconds
    await context.session.logIn(target.root, user, token, expiresAt)

    const place = target.index === undefined ? '' : ` at '${target.index}'`
    context.terminal.info(`logged in '${user}'${place}${seconds === undefined ? '' : `, credentials valid for ${(seconds / 3600).toFixed(2)} hours`}`)
    await reportIndexAccess(context, target)
    return { user, root: target.root, expiresAt: expiresAt === undefined ? null : new Date(expiresAt * 1000).toISOString() }
  }
}

function requireServerForLogin(context: Context): Target {
  if (context.session.place === undefined) {
    throw new Failure('NO_SERVER', "not connected to a server, see 'devpi use'", { hint: 'select one with `devpi use URL`' })
  }
  return requireServer(context)
}

interface PasswordFlags {
  readonly password?: string | undefined
  readonly 'password-stdin': boolean
}

async function passwordFor(context: Context, { root }: Target, user: string, flags: PasswordFlags): Promise<string> {
  const { prompt, env } = context
  if (flags['password-stdin'] || flags.password === '-') return prompt.fromInput()
  const known = flags.password ?? env['DEVPI_PASSWORD'] ?? (await storedPassword(context, root, user))
  return known ?? prompt.password(`password for user ${user} at ${root}: `, '--password-stdin or DEVPI_PASSWORD')
}

/** Tries it before it is stored. */
async function keepToken({ session, client, terminal }: Context, { root }: Target, user: string, token: string): Promise<object> {
  const before = { user: session.userAt(root), token: session.tokenAt(root) }
  await session.logIn(root, user, token, undefined)
  const { state } = await client.loginState({ root, user, secret: token })
  if (state !== 'ok') {
    await session.logOff(root, user)
    if (before.user !== undefined && before.token !== undefined) await session.logIn(root, before.user, before.token, undefined)
    throw new Failure('NOT_LOGGED_IN', `the token is not accepted for '${user}' at ${root}: ${textOf(state) ?? ''}`)
  }
  terminal.info(`logged in '${user}' with an API token`)
  return { user, root, expiresAt: null }
}
