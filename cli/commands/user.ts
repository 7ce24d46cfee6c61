import * as Flags from '@oclif/core/flags'
import { type Context, DevpiCommand, pairsOf, splitKeyValues } from '../base-command.js'
import { Failure, usageError } from '../failure.js'
import { argument } from '../flags.js'
import { type JsonObject, objectOf, spoken, textOf } from '../json.js'
import { requireServer, requireUser, type Target } from '../place.js'
import { address } from '../urls.js'

/** Users of the server: shown, created, changed, deleted. */
export default class User extends DevpiCommand {
  static override summary = 'show, create, modify, delete and list users'
  static override description = 'Without option it shows a user, or changes it when KEY=VALUE is given: password, email, title, description, custom_data.'
  static override examples = ['devpi user -l', 'devpi user -c alice email=alice@example.com', 'devpi user alice title="Release team"', 'devpi user --delete alice']
  static override strict = false
  static override args = { username: argument('the user; who is logged in unless given') }
  static override usage = 'user [USERNAME] [KEY=VALUE...] [options]'
  static override flags = {
    create: Flags.boolean({ char: 'c', description: 'create the user', exclusive: ['delete', 'modify', 'list'] }),
    delete: Flags.boolean({ description: 'delete the user', exclusive: ['create', 'modify', 'list'] }),
    modify: Flags.boolean({ char: 'm', description: 'change the user', exclusive: ['create', 'delete', 'list'] }),
    list: Flags.boolean({ char: 'l', description: 'list all users', exclusive: ['create', 'delete', 'modify'] }),
  }

  async run(): Promise<object> {
    const { argv, flags } = await this.parse(User)
    const { names, keyValues } = splitKeyValues(argv.map(String))
    if (names.length > 1) throw usageError(`arguments must be format NAME=VALUE: ['${names.slice(1).join("', '")}']`)
    const settings = Object.fromEntries(pairsOf(keyValues))
    const context = await this.open(flags)
    const target = requireServer(context)
    if (flags.list) return await list(context, target)
    const [named] = names
    if (flags.create) return await create(context, target, requireName(named), settings)
    if (flags.delete) return await remove(context, target, requireName(named))
    if (flags.modify || keyValues.length > 0) return await modifyUser(context, target, named ?? currentUser(context, target), settings)
    return await show(context, target, named ?? currentUser(context, target))
  }
}

function requireName(name: string | undefined): string {
  if (name === undefined) throw new Failure('CONFIG', 'need to specify a username')
  if (name.includes('/')) throw new Failure('CONFIG', 'user name contains a slash')
  return name
}

/** Fails with `NOT_LOGGED_IN`. */
export function currentUser(context: Context, { root }: Target): string {
  if (context.client.loginFor(root) === undefined) throw new Failure('NOT_LOGGED_IN', 'no user specified and no user currently active')
  return requireUser(context, root)
}

async function list({ client, terminal }: Context, { root }: Target): Promise<object> {
  const users = Object.keys(await client.result('GET', root, 'list:userconfig')).sort()
  for (const user of users) terminal.line(user)
  return { users }
}

async function show({ client, terminal }: Context, { root }: Target, user: string): Promise<object> {
  const url = address(root, user)
  const { indexes, username, ...fields } = await client.result('GET', url, 'userconfig')
  terminal.info(`${url}:`)
  for (const key of Object.keys(fields).sort()) terminal.line(`  ${key}=${spoken(fields[key])}`)
  return { url, changes: [], result: { ...fields, indexes, username } }
}

async function create({ client, terminal, prompt }: Context, { root }: Target, user: string, settings: JsonObject): Promise<object> {
  const hasPassword = 'password' in settings || 'pwhash' in settings
  const body = hasPassword ? settings : { ...settings, password: await prompt.newPassword(user) }
  const url = address(root, user)
  const result = await client.result('PUT', url, 'userconfig', body)
  terminal.info(`user created: ${user}`)
  return { url, changes: Object.keys(body).sort(), result }
}

/** Also what `passwd` does. The reply to a new password brings a new login, since the old one ends with the old password. */
export async function modifyUser(context: Context, { root }: Target, user: string, settings: JsonObject): Promise<object> {
  const { client, terminal, session, surroundings } = context
  const url = address(root, user)
  const known = await client.result('GET', url, 'userconfig')
  const { indexes: _, username: _name, created: _created, modified: _modified, ...before } = known
  const changes = Object.keys(settings).sort()
  for (const key of changes) terminal.info(`/${user} changing ${key}: ${key === 'password' ? '********' : spoken(settings[key])}`)
  const reply = await client.api('PATCH', url, { json: { ...before, ...settings } })
  const { password: token, expiration } = objectOf(reply.json?.['result'])
  if (reply.json?.['type'] === 'userpassword' && textOf(token) !== undefined && user === client.loginFor(root)?.user && session.hasLogin(root, user)) {
    const expiresAt = typeof expiration === 'number' ? Math.floor(surroundings.now() / 1000) + expiration : undefined
    await session.logIn(root, user, String(token), expiresAt)
  }
  terminal.info(`user modified: ${user}`)
  return { url, changes }
}

async function remove({ client, terminal, prompt }: Context, { root }: Target, user: string): Promise<object> {
  const url = address(root, user)
  terminal.info(`About to remove: ${url}`)
  if (!(await prompt.confirm())) {
    terminal.error('not deleting anything')
    return { url, deleted: false }
  }
  await client.api('DELETE', url)
  terminal.info(`user deleted: ${user}`)
  return { url, deleted: true }
}
