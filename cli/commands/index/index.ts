import * as Flags from '@oclif/core/flags'
import { type Context, DevpiCommand, pairsOf, splitKeyValues } from '../../base-command.js'
import { Failure, usageError } from '../../failure.js'
import { argument } from '../../flags.js'
import { type JsonObject, objectOf, spoken } from '../../json.js'
import { indexAddress, noServer, requireLogin, requireServer, requireUser, type Target } from '../../place.js'
import { address } from '../../urls.js'

/** What is shown first, in this order. */
const FIRST_KEYS = ['type', 'bases', 'volatile', 'acl_upload']
/** Inherited by a new index unless told otherwise, where the server has it. */
const DEFAULT_BASE = ['root', 'pypi'] as const

/** Indexes: shown, created, changed, deleted. */
export default class Index extends DevpiCommand {
  static override summary = 'show, create, modify, delete and list indexes'
  static override description = `KEY=VALUE sets a setting, KEY+=VALUE and KEY-=VALUE add and remove an item of a list, KEY-= takes a setting away. A new index
inherits from root/pypi where the server has that, unless bases are given: \`bases=\` creates one without.`
  static override examples = [
    'devpi index -c dev',
    'devpi index -c prod bases= volatile=False',
    'devpi index alice/dev acl_upload+=bob bases=alice/prod',
    'devpi index -l alice',
    'devpi index --delete alice/dev',
  ]
  static override strict = false
  static override args = { indexname: argument('NAME or USER/NAME; the current index unless given') }
  static override usage = 'index [NAME] [KEY=VALUE...] [options]'
  static override flags = {
    create: Flags.boolean({ char: 'c', description: 'create the index', exclusive: ['delete', 'list', 'no-projects'] }),
    delete: Flags.boolean({ description: 'delete the index', exclusive: ['create', 'list', 'no-projects'] }),
    list: Flags.boolean({ char: 'l', description: 'list the indexes of a user', exclusive: ['create', 'delete', 'no-projects'] }),
    'no-projects': Flags.boolean({ description: 'show it without asking for the projects', exclusive: ['create', 'delete', 'list'] }),
  }

  async run(): Promise<object> {
    const { argv, flags } = await this.parse(Index)
    const { names, keyValues } = splitKeyValues(argv.map(String))
    const [name, ...others] = names
    if (others.length > 0) throw new Failure('CONFIG', `arguments must be format NAME=VALUE: ['${others.join("', '")}']`)
    if (flags.delete && keyValues.length > 0) throw new Failure('CONFIG', 'cannot delete if you specify key=values')
    if ((flags.list || flags['no-projects']) && keyValues.length > 0) throw usageError('key=values are for creating and modifying')
    pairsOf(keyValues)
    const context = await this.open(flags)
    if (flags.list) return await list(context, name)
    if (flags.delete) return await remove(context, requireName(name, 'deletion'))
    if (flags.create) return await create(context, requireName(name, 'creation'), keyValues)
    if (keyValues.length > 0) return await modify(context, name, keyValues)
    return await show(context, name, flags['no-projects'])
  }
}

function requireName(name: string | undefined, purpose: string): string {
  if (name === undefined) throw new Failure('CONFIG', `need to explicitly specify index for ${purpose}`)
  return name
}

interface Found {
  readonly target: Target
  readonly url: string
}

/** The index that is named or current. */
function locate(context: Context, name: string | undefined): Found {
  if (name === undefined && context.session.place === undefined) throw noServer()
  const target = requireServer(context)
  if (name !== undefined) return { target, url: indexAddress(context, target.root, name) }
  if (target.index === undefined) throw new Failure('NO_INDEX', 'no index specified and no index in use', { hint: '`devpi index -l` lists yours' })
  return { target, url: target.index }
}

function pathOf({ target, url }: Found): string {
  return url.startsWith(target.root) ? `/${decodeURI(url.slice(target.root.length))}` : url
}

async function list(context: Context, user: string | undefined): Promise<object> {
  if (user?.includes('/') === true) throw new Failure('CONFIG', 'user name contains a slash')
  const { root } = requireServer(context)
  const owner = user ?? requireUser(context, root)
  const { indexes } = await context.client.result('GET', address(root, owner), 'userconfig')
  const names = Object.keys(objectOf(indexes)).sort().map((index) => `${owner}/${index}`)
  for (const name of names) context.terminal.info(name)
  return { indexes: names }
}

async function create(context: Context, name: string, keyValues: readonly string[]): Promise<object> {
  const { client } = context
  const found = locate(context, name)
  requireLogin(context, found.target.root)
  const given = Object.fromEntries(pairsOf(keyValues))
  const settings = 'bases' in given || given['type'] === 'mirror' ? given : { ...given, ...(await defaultBases(context, found)) }
  await client.api('PUT', found.url, { json: settings, type: 'indexconfig' })
  return { ...(await showConfig(context, found.url, '?no_projects=')), changes: Object.entries(settings).map(([key, value]) => `${key}=${value}`) }
}

/** An index that cannot be its own base, and a server without `root/pypi`, get none. */
async function defaultBases({ client }: Context, { target, url }: Found): Promise<{ readonly bases?: string }> {
  const base = address(target.root, ...DEFAULT_BASE)
  if (url === base) return {}
  const reply = await client.api('GET', `${base}?no_projects=`, { tolerate: 'all' })
  return reply.status === 200 ? { bases: DEFAULT_BASE.join('/') } : {}
}

async function modify(context: Context, name: string | undefined, keyValues: readonly string[]): Promise<object> {
  const { client, terminal } = context
  const found = locate(context, name)
  requireLogin(context, found.target.root)
  const path = pathOf(found)
  if (found.target.features.length > 0 ? found.target.features.includes('server-keyvalue-parsing') : await understandsOperations(context, found)) {
    for (const operation of keyValues) terminal.info(`${path} ${operation}`)
    await client.api('PATCH', found.url, { json: keyValues })
  } else {
    const before = await client.result('GET', `${found.url}?no_projects=`, 'indexconfig')
    const changed = merged(before, keyValues)
    for (const [key] of pairsOf(keyValues)) terminal.info(`${path} changing ${key.replace(/[+-]$/, '')}: ${spoken(changed[key.replace(/[+-]$/, '')])}`)
    await client.api('PATCH', found.url, { json: changed })
  }
  return { ...(await showConfig(context, found.url, '?no_projects=')), changes: keyValues }
}

/** What was stored of a server without an index in use says nothing about it. */
async function understandsOperations({ client }: Context, { target }: Found): Promise<boolean> {
  const { features } = await client.result('GET', `${target.root}+api`, 'apiconfig')
  return Array.isArray(features) && features.includes('server-keyvalue-parsing')
}

/** For servers that take a whole configuration only. */
function merged(before: JsonObject, keyValues: readonly string[]): JsonObject {
  const { projects: _, ...settings } = before
  const after: Record<string, unknown> = settings
  for (const [key, value] of pairsOf(keyValues)) {
    const name = key.replace(/[+-]$/, '')
    const known: unknown = after[name]
    const items: unknown[] = Array.isArray(known) ? known : []
    if (key.endsWith('+')) after[name] = [...items, value]
    else if (!key.endsWith('-')) after[name] = value
    else if (value === '') Reflect.deleteProperty(after, name)
    else after[name] = items.filter((item) => item !== value)
  }
  return after
}

async function remove(context: Context, name: string): Promise<object> {
  const { client, terminal, prompt } = context
  const found = locate(context, name)
  requireLogin(context, found.target.root)
  terminal.info(`About to remove: ${found.url}`)
  if (!(await prompt.confirm())) {
    terminal.error('not deleting anything')
    return { url: found.url, deleted: false }
  }
  await client.api('DELETE', found.url)
  terminal.info(`index deleted: ${found.url}`)
  return { url: found.url, deleted: true }
}

async function show(context: Context, name: string | undefined, withoutProjects: boolean): Promise<object> {
  const { url } = locate(context, name)
  return { ...(await showConfig(context, url, withoutProjects || !context.terminal.json ? '?no_projects=' : '')), changes: [] }
}

async function showConfig({ client, terminal }: Context, url: string, query: string): Promise<{ readonly url: string; readonly result: JsonObject }> {
  const result = await client.result('GET', url + query, 'indexconfig')
  terminal.info(`${url}:`)
  const keys = Object.keys(result).filter((key) => key !== 'projects')
  const ordered = [...FIRST_KEYS.filter((key) => keys.includes(key)), ...keys.filter((key) => !FIRST_KEYS.includes(key)).sort()]
  for (const key of ordered) terminal.line(`  ${key}=${spoken(result[key])}`)
  return { url, result }
}
