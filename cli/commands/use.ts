import { existsSync } from 'node:fs'
import { join } from 'node:path'
import * as Flags from '@oclif/core/flags'
import { type Context, DevpiCommand } from '../base-command.js'
import { Failure } from '../failure.js'
import { argument, textFlag } from '../flags.js'
import { confirmedUser, loginText, reportIndexAccess } from '../index-status.js'
import { describeInstaller, readInstallerStates } from '../installer-config.js'
import { writeInstallerFiles } from '../installer-writer.js'
import { objectOf, spoken } from '../json.js'
import { askPlace, findTarget, indexAddress, type Target, targetOf } from '../place.js'
import { expandPath } from '../session.js'
import { findVenv, locateVenv, type Venv } from '../venv.js'
import { asFolder, isHttp, maskUrl, takeCredentials, type UrlCredentials } from '../urls.js'

const TRUST = ['yes', 'no', 'auto'] as const
const NO_INDEX = "no current index: type 'devpi use -l' to discover indices"

interface UseFlags {
  readonly list: boolean
  readonly urls: boolean
  readonly local: boolean
  readonly delete: boolean
  readonly 'set-cfg': boolean
  readonly user?: string | undefined
  readonly venv?: string | undefined
  readonly 'always-set-cfg'?: string | undefined
  readonly 'pip-set-trusted'?: string | undefined
  readonly 'client-cert'?: string | undefined
  readonly 'ca-cert'?: string | undefined
  readonly insecure: boolean
}

/** Selects a server or an index, and tells what is selected. */
export default class Use extends DevpiCommand {
  static override summary = 'show or select the server and the index that commands work with'
  static override description = `Without URL it shows what is selected. URL may be that of a server or an index, or USER/NAME of an index on the
current server, or NAME of an index of your own. \`user:password@\` in it is stored for a proxy that guards the server.`
  static override examples = ['devpi use http://localhost:3141', 'devpi use alice/dev', 'devpi use -l', 'devpi use --ca-cert ca.pem https://pypi.example.com']
  static override args = { url: argument('server or index') }
  static override flags = {
    list: Flags.boolean({ char: 'l', description: 'list the indexes of the server' }),
    user: textFlag({ char: 'u', description: 'with -l: only indexes of this user; else: go on as this user, who has logged in before', helpValue: 'USER' }),
    urls: Flags.boolean({ description: 'show the addresses of the index too' }),
    'set-cfg': Flags.boolean({ description: 'write the index into the files of pip, uv, easy_install and buildout, and of poetry, pdm and twine where these are' }),
    'pip-set-trusted': textFlag({ char: 't', description: 'whether --set-cfg marks the host as trusted', options: ['yes', 'no', 'auto'] }),
    'always-set-cfg': textFlag({ description: 'let every use imply --set-cfg', options: ['yes', 'no'] }),
    venv: textFlag({ description: 'virtual environment for install and its files; - forgets it', helpValue: 'PATH|NAME|-' }),
    local: Flags.boolean({ description: 'keep the selection in the active virtual environment' }),
    delete: Flags.boolean({ description: 'forget the selection; logins stay' }),
    'client-cert': textFlag({ description: 'certificate and key this server asks clients for; empty to forget', helpValue: 'PEM' }),
    'ca-cert': textFlag({ description: 'certificates that are trusted for this server, instead of those of the system', helpValue: 'PEM' }),
    insecure: Flags.boolean({ description: 'do not check the certificate of this server' }),
  }

  async run(): Promise<object | undefined> {
    const { args, flags } = await this.parse(Use)
    const context = await this.open(flags)
    if (flags.local) await startLocal(context)
    if (flags.delete) return await forget(context)

    const onlyLook = args.url !== undefined && (flags.list || flags.urls)
    const target = await select(context, { url: args.url, flags, onlyLook })
    if (flags.list) return await listIndexes(context, target, flags.user)
    return await show(context, target, flags)
  }
}

async function startLocal({ session, env, terminal }: Context): Promise<void> {
  const venv = env['VIRTUAL_ENV']
  if (venv === undefined || venv === '') throw new Failure('CONFIG', 'Using --local is only valid in an active virtualenv.')
  const path = join(venv, 'devpi.json')
  if (path === session.currentFile) return
  terminal.info(`Creating local configuration at ${path}`)
  await session.keepAt(path)
}

async function forget({ session, terminal }: Context): Promise<object> {
  const path = session.currentFile
  if (!(await session.forgetPlace())) throw new Failure('NO_SERVER', 'NO configuration found')
  terminal.info(`REMOVED configuration at ${path}`)
  return { removed: path }
}

interface Selection {
  readonly url: string | undefined
  readonly flags: UseFlags
  /** Nothing is kept. */
  readonly onlyLook: boolean
}

/** What is selected from now on; undefined when nothing is. */
async function select(context: Context, { url, flags, onlyLook }: Selection): Promise<Target | undefined> {
  const { session, env, terminal, client } = context
  if (url === undefined) {
    if (session.place === undefined && (env['DEVPI_INDEX'] ?? '') === '') return undefined
    const target = await findTarget(context, undefined)
    if (target.index === undefined || (env['DEVPI_INDEX'] ?? '') !== '') return target
    return targetOf(await askPlace(context, target.index)) // what it offers may have changed
  }
  if ((env['DEVPI_INDEX'] ?? '') !== '') {
    terminal.note(`Using index URL from command line instead of DEVPI_INDEX (${maskUrl(env['DEVPI_INDEX'] ?? '')}) from environment.`, 'bold')
  }
  const { address, credentials } = addressOf(context, url)
  await keepConnection(context, address, flags, credentials)
  if (isHttp(url)) client.trustedRoot = asFolder(address)
  const place = await askPlace(context, address)
  const target = targetOf(place)
  client.trustedRoot = target.root
  warnOfRewriting(context, address, place.index ?? target.root)
  if (!onlyLook) await session.select(place)
  return target
}

function addressOf(context: Context, url: string): { readonly address: string; readonly credentials: UrlCredentials | undefined } {
  if (isHttp(url)) {
    const { url: address, credentials } = takeCredentials(url)
    return { address, credentials }
  }
  const { root } = context.session
  if (root === undefined) throw new Failure('NO_SERVER', `invalid URL: ${url}/`, { hint: 'select a server first: `devpi use http://HOST:PORT`' })
  return { address: url.replaceAll('/', '') === '' ? root : indexAddress(context, root, url), credentials: undefined }
}

/** Stores what requests to this server need, before the first one is sent. */
async function keepConnection({ session, terminal, env, cwd }: Context, address: string, flags: UseFlags, credentials: UrlCredentials | undefined): Promise<void> {
  const root = asFolder(new URL('/', address).href)
  if (credentials !== undefined) {
    await session.setBasicAuth(root, credentials)
    terminal.note(`Using basic authentication for '${address}'.`, 'bold')
    terminal.warn('The password is stored unencrypted!')
  }
  const certificate = flags['client-cert']
  if (certificate !== undefined) await session.setClientCert(root, certificate === '' ? undefined : existingFile(certificate, 'client certificate', { env, cwd }))
  const authority = flags['ca-cert']
  if (authority !== undefined) await session.setForRoot(root, { caCert: existingFile(authority, 'CA certificate', { env, cwd }), insecure: false })
  if (flags.insecure) await session.setForRoot(root, { insecure: true })
}

function existingFile(path: string, what: string, { env, cwd }: Pick<Context, 'env' | 'cwd'>): string {
  const absolute = expandPath(path, env, cwd)
  if (!existsSync(absolute)) throw new Failure('CONFIG', `The ${what} at '${absolute}' doesn't exist.`)
  return absolute
}

/** Only scheme, host and port count: a proxy may move the path. */
function warnOfRewriting({ terminal }: Context, asked: string, answered: string): void {
  if (new URL(asked).origin !== new URL(answered).origin) terminal.warn(`The server has rewritten the url to: ${answered}`)
}

/** `use -l`, one line for each index. */
async function listIndexes({ client, terminal }: Context, target: Target | undefined, user: string | undefined): Promise<object> {
  if (target === undefined) throw new Failure('NO_SERVER', 'not connected to any server', { hint: 'select one with `devpi use URL`' })
  const users = user === undefined
    ? await client.result('GET', target.root, 'list:userconfig')
    : { [user]: await client.result('GET', target.root + encodeURIComponent(user), 'userconfig') }
  const indexes = Object.entries(users).sort(byName).flatMap(([name, config]) =>
    Object.entries(objectOf(objectOf(config)['indexes'])).sort(byName).map(([index, settings]) => ({ name: `${name}/${index}`, settings: objectOf(settings) })),
  )
  for (const { name, settings } of indexes) {
    terminal.info(`${name.padEnd(15)} bases=${spoken(settings['bases'] ?? []).padEnd(15)} volatile=${spoken(settings['volatile'] ?? true)}`)
  }
  return {
    indexes: indexes.map(({ name, settings }) => ({ name, type: settings['type'], bases: settings['bases'] ?? [], volatile: settings['volatile'] ?? true })),
  }
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0
}

async function show(context: Context, target: Target | undefined, flags: UseFlags): Promise<object> {
  const { session, terminal, env, cwd } = context
  if (target !== undefined && flags.user !== undefined) await switchUser(context, target.root, flags.user)
  const user = target && (await confirmedUser(context, target.root))
  if (target === undefined) terminal.line("no server: type 'devpi use URL' with a URL pointing to a server or directly to an index.")
  else await showTarget(context, target, user, flags.urls)

  const venv = await keepVenv(context, flags.venv)
  if (venv !== undefined) {
    terminal.info(`venv for install/set commands: ${venv.folder}`)
    terminal.line('only setting venv pip/uv config, no global configuration changed')
  }
  await keepConfigured(context, target, flags, venv?.folder)
  const states = await readInstallerStates({ env, cwd, venv: venv?.folder })
  for (const state of states) terminal.info(describeInstaller(state, env))
  terminal.line(`always-set-cfg: ${session.alwaysSetCfg ? 'yes' : 'no'}`)
  return {
    root: target?.root ?? null,
    index: target?.index ?? null,
    user: user ?? null,
    loggedIn: user !== undefined,
    expiresAt: expiry(context, target, user),
    endpoints: target === undefined ? {} : { login: target.login, pypisubmit: target.pypisubmit ?? null, simpleindex: target.simpleindex ?? null },
    features: target?.features ?? [],
    venv: venv?.folder ?? null,
    configs: states.map(({ tool, path, exists, index }) => ({ tool, path, exists, index: index ?? null })),
    alwaysSetCfg: session.alwaysSetCfg,
  }
}

/** Writes the files of installers if that is asked for, now or always. */
async function keepConfigured(context: Context, target: Target | undefined, flags: UseFlags, venv: string | undefined): Promise<void> {
  const { session } = context
  const trust = TRUST.find((choice) => choice === flags['pip-set-trusted']) ?? 'auto'
  const always = flags['always-set-cfg']
  if (always !== undefined) await session.change({ always_setcfg: always === 'yes', settrusted: trust === 'yes' })
  if (!flags['set-cfg'] && !session.alwaysSetCfg) return
  const { index, simpleindex } = target ?? {}
  if (target !== undefined && index !== undefined) {
    await writeInstallerFiles(context, { ...target, index, simpleindex: simpleindex ?? `${index}/+simple/` }, venv, trust)
  } else if (flags['set-cfg']) {
    throw new Failure('NO_INDEX', 'no index configured: cannot set pip/easy_install index')
  }
}

async function switchUser({ session, terminal }: Context, root: string, user: string): Promise<void> {
  if (session.hasLogin(root, user)) await session.change({ username: user })
  else terminal.error(`user '${user}' is not logged in, log in with \`devpi login ${user}\``)
}

async function showTarget(context: Context, target: Target, user: string | undefined, urls: boolean): Promise<void> {
  const { terminal } = context
  if (target.index === undefined) {
    terminal.info(`using server: ${target.root} (${loginText(user)})`)
    terminal.line(NO_INDEX, 'error')
  } else {
    terminal.info(`current devpi index: ${target.index} (${loginText(user)})`)
  }
  if (urls || terminal.debugging) {
    for (const name of ['login', 'pypisubmit', 'simpleindex'] as const) terminal.info(`${name.padStart(19)}: ${target[name] ?? 'None'}`)
  }
  if (target.index !== undefined && target.features.length > 0) terminal.info(`supported features: ${[...target.features].sort().join(', ')}`)
  await reportIndexAccess(context, target)
}

async function keepVenv(context: Context, named: string | undefined): Promise<Venv | undefined> {
  const { session, env, cwd } = context
  if (named === '-') await session.change({ venvdir: undefined })
  else if (named !== undefined) await session.change({ venvdir: locateVenv(named, env, cwd) })
  return findVenv(context, named === '-' ? undefined : named)
}

function expiry({ session }: Context, target: Target | undefined, user: string | undefined): string | null {
  const seconds = target === undefined || user === undefined ? undefined : session.settingsFor(target.root).expires?.[user]
  return seconds === undefined ? null : new Date(seconds * 1000).toISOString()
}
