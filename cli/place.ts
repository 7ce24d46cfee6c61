import type { Context } from './base-command.js'
import type { ApiOptions } from './client.js'
import { Failure } from './failure.js'
import { objectOf, textOf, textsOf } from './json.js'
import type { Place } from './session.js'
import { below, isHttp, maskUrl, parseServerUrl, rootOfLogin, withoutSlash } from './urls.js'

/** A server, and where commands act on it. */
export interface Target extends Place {
  readonly root: string
}

/** A target with an index in it. */
export interface IndexTarget extends Target {
  readonly index: string
  readonly simpleindex: string
}

/** Asks an address for its `+api`. Relative addresses in the answer count from the host. */
export async function askPlace({ client }: Context, url: string, options: ApiOptions = {}): Promise<Place> {
  const api = apiAddress(url)
  const reply = await client.api('GET', api, { type: 'apiconfig', ...options })
  const result = objectOf(reply.json?.['result'])
  const absolute = (key: string): string | undefined => {
    const value = textOf(result[key])
    return value === undefined || !URL.canParse(value, reply.url) ? undefined : new URL(value, reply.url).href
  }
  const login = absolute('login')
  if (login === undefined) throw new Failure('API_VERSION', `${maskUrl(api)} answers, but does not say where to log in`)
  const index = absolute('index')
  return {
    login,
    index: index && withoutSlash(index),
    simpleindex: absolute('simpleindex'),
    pypisubmit: absolute('pypisubmit'),
    features: textsOf(result['features']),
  }
}

function apiAddress(url: string): string {
  const parsed = new URL(url)
  parsed.pathname = `${withoutSlash(parsed.pathname)}/+api`
  return parsed.href
}

export function targetOf(place: Place): Target {
  return { ...place, root: rootOfLogin(place.login) }
}

/** The server that is current. Fails with `NO_SERVER`. */
export function requireServer({ session }: Context): Target {
  const { place } = session
  if (place === undefined) throw noServer()
  return targetOf(place)
}

export function noServer(): Failure {
  return new Failure('NO_SERVER', "not connected to a server, see 'devpi use'", { hint: 'select one with `devpi use URL`' })
}

/**
 * The server and index a command acts on: what `--index` names, else what
 * `DEVPI_INDEX` does, else the current one. Another than the current one is
 * asked for its addresses, and nothing of it is kept.
 */
export async function findTarget(context: Context, index: string | undefined): Promise<Target> {
  const { session, env, terminal, client } = context
  const fromEnv = env['DEVPI_INDEX'] === '' ? undefined : env['DEVPI_INDEX']
  const current = session.place === undefined ? undefined : targetOf(session.place)
  if (index === undefined && fromEnv === undefined) {
    if (current === undefined) throw noServer()
    return current
  }
  let server = current
  if (server === undefined && fromEnv !== undefined && isHttp(fromEnv)) {
    client.trustedRoot = parseServerUrl(fromEnv).href
    server = targetOf(await askPlace(context, fromEnv))
    if (index !== undefined) terminal.note(`Using DEVPI_INDEX from environment: ${maskUrl(fromEnv)}`, 'bold')
  }
  if (index === undefined) {
    const wanted = fromEnv ?? ''
    if (server === undefined) throw new Failure('NO_SERVER', `No server set and DEVPI_INDEX from environment is not a full valid URL: ${wanted}`)
    terminal.note(`Using DEVPI_INDEX from environment: ${maskUrl(wanted)}`, 'bold')
    const url = isHttp(wanted) ? wanted : !wanted.includes('/') && server.index !== undefined ? new URL(wanted, server.index).href : indexAddress(context, server.root, wanted)
    return await switchTo(context, url)
  }
  if (isHttp(index)) return await switchTo(context, parseServerUrl(index).href)
  if (server === undefined) {
    throw fromEnv === undefined
      ? noServer()
      : new Failure('NO_SERVER', `No server set and neither the --index URL (${index}) nor the DEVPI_INDEX from environment (${fromEnv}) is a full valid URL.`)
  }
  return await switchTo(context, indexAddress(context, server.root, index))
}

async function switchTo(context: Context, url: string): Promise<Target> {
  const target = targetOf(await askPlace(context, url))
  context.client.trustedRoot = target.root
  return target
}

/** As `findTarget`, where an index is needed. Fails with `NO_INDEX`. */
export async function findIndex(context: Context, index?: string): Promise<IndexTarget> {
  const target = await findTarget(context, index)
  if (target.index === undefined) throw noIndex()
  return { ...target, index: target.index, simpleindex: target.simpleindex ?? `${target.index}/+simple/` }
}

export function noIndex(): Failure {
  return new Failure('NO_INDEX', "not connected to an index, see 'devpi use'", { hint: 'select one with `devpi use USER/NAME`; `devpi use -l` lists them' })
}

/** URL of an index by its name: `USER/NAME`, or `NAME` of who is logged in. */
export function indexAddress(context: Context, root: string, name: string): string {
  if (isHttp(name)) return withoutSlash(parseServerUrl(name).href)
  const plain = name.replace(/^\/+|\/+$/g, '')
  const parts = plain.split('/')
  if (parts.length > 2 || parts.some((part) => part === '')) throw new Failure('CONFIG', `index '${name}' not of form USER/NAME or NAME`)
  if (parts.length === 2) return below(root, parts.map(encodeURIComponent).join('/'))
  return below(root, [requireUser(context, root), plain].map(encodeURIComponent).join('/'))
}

/** Who is logged in at a server. Fails with `NOT_LOGGED_IN`. */
export function requireUser({ client, session }: Context, root: string): string {
  const login = client.loginFor(root)
  const user = login?.user === '__token__' ? session.userAt(root) : login?.user
  if (user === undefined) {
    throw new Failure('NOT_LOGGED_IN', "no current authenticated user: you need to be logged in (use 'devpi login USER')")
  }
  return user
}

/** Fails with `NOT_LOGGED_IN` before a request that is bound to be refused. */
export function requireLogin({ client }: Context, root: string): void {
  if (client.loginFor(root) === undefined) throw new Failure('NOT_LOGGED_IN', "you need to be logged in (use 'devpi login USER')")
}

/** `user/index` out of an index URL. */
export function nameOfIndex({ root, index }: Pick<IndexTarget, 'root' | 'index'>): string {
  return index.startsWith(root) ? decodeURI(index.slice(root.length)) : index
}
