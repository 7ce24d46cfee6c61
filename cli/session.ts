import { rm } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { isObject, type JsonObject, listOf, objectOf, textOf, textsOf } from './json.js'
import { changeState, readState } from './state-files.js'
import { isBelow, parentFolders, rootOfLogin, type UrlCredentials, withPort } from './urls.js'

/** What `+api` said of an index or a server: `current.json` holds it under the same names. */
export interface Place {
  readonly login: string
  readonly index: string | undefined
  readonly simpleindex: string | undefined
  readonly pypisubmit: string | undefined
  readonly features: readonly string[]
}

/** Our own additions, in a file that the reference client does not know. */
export interface RootSettings {
  readonly caCert?: string
  readonly insecure?: boolean
  /** Seconds since the epoch, by user. */
  readonly expires?: Readonly<Record<string, number>>
}

export interface SessionOptions {
  readonly clientDir: string | undefined
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
}

const PLACE_KEYS = ['index', 'simpleindex', 'pypisubmit', 'login', 'features'] as const

/**
 * The state that lives from command to command: the current server and index
 * in `current.json`, or in `devpi.json` of the active virtual environment where that exists; logins
 * and other credentials in `auth.json`. Both are files of the reference client, unknown keys included.
 */
export class Session {
  readonly clientDir: string
  currentFile: string
  readonly #authFile: string
  readonly #settingsFile: string
  readonly #env: NodeJS.ProcessEnv
  #current: JsonObject
  #auth: JsonObject
  #settings: JsonObject

  private constructor(clientDir: string, currentFile: string, env: NodeJS.ProcessEnv) {
    this.clientDir = clientDir
    this.currentFile = currentFile
    this.#authFile = join(clientDir, 'auth.json')
    this.#settingsFile = join(clientDir, 'settings.json')
    this.#env = env
    this.#current = {}
    this.#auth = {}
    this.#settings = {}
  }

  static async open({ clientDir, env, cwd }: SessionOptions): Promise<Session> {
    const folder = clientDirectory(clientDir ?? env['DEVPI_CLIENTDIR'], env, cwd)
    const local = env['VIRTUAL_ENV'] === undefined ? undefined : join(env['VIRTUAL_ENV'], 'devpi.json')
    const session = new Session(folder, local !== undefined && existsSync(local) ? local : join(folder, 'current.json'), env)
    await session.#load()
    return session
  }

  async #load(): Promise<void> {
    this.#current = await readState(this.currentFile)
    this.#auth = await readState(this.#authFile)
    this.#settings = await readState(this.#settingsFile)
    if (isObject(this.#current['auth'])) await this.#adoptOldLogins()
  }

  /** Older clients kept one login per server in `current.json`. */
  async #adoptOldLogins(): Promise<void> {
    const { auth, basic_auth: basic, client_cert: certs } = this.#current
    this.#auth = await changeState(this.#authFile, 0o600, (before) => {
      const adopted = Object.entries(objectOf(auth)).map(([root, pair]) => [root, [pair]] as const)
      return {
        ...before,
        auth: { ...Object.fromEntries(adopted), ...objectOf(before['auth']) },
        basic_auth: { ...objectOf(basic), ...objectOf(before['basic_auth']) },
        client_cert: { ...objectOf(certs), ...objectOf(before['client_cert']) },
      }
    })
    this.#current = await changeState(this.currentFile, 0o600, ({ auth: _a, basic_auth: _b, client_cert: _c, ...rest }) => rest)
  }

  /** The selected server, and index if there is one; undefined before the first `use`. */
  get place(): Place | undefined {
    const login = textOf(this.#current['login'])
    if (login === undefined || !URL.canParse(login)) return undefined
    return {
      login,
      index: textOf(this.#current['index']),
      simpleindex: textOf(this.#current['simpleindex']),
      pypisubmit: textOf(this.#current['pypisubmit']),
      features: textsOf(this.#current['features']),
    }
  }

  get root(): string | undefined {
    return this.place && rootOfLogin(this.place.login)
  }

  get venv(): string | undefined {
    return textOf(this.#current['venvdir'])
  }

  get alwaysSetCfg(): boolean {
    return this.#current['always_setcfg'] === true
  }

  get setTrusted(): boolean | undefined {
    const value = this.#current['settrusted']
    return typeof value === 'boolean' ? value : undefined
  }

  /** Whose name counts on a server, logged in or not. */
  userAt(root: string): string | undefined {
    const chosen = this.#env['DEVPI_USER'] ?? textOf(this.#current['username'])
    return chosen === undefined || chosen === '' ? this.#logins(root)[0]?.[0] : chosen
  }

  /** The login token of that user, never one of another. */
  tokenAt(root: string, user = this.userAt(root)): string | undefined {
    return this.#logins(root).find(([name]) => name === user)?.[1]
  }

  hasLogin(root: string, user: string): boolean {
    return this.tokenAt(root, user) !== undefined
  }

  #logins(root: string): [user: string, token: string][] {
    return listOf(objectOf(this.#auth['auth'])[root]).flatMap((pair): [string, string][] => {
      const [user, token] = listOf(pair)
      return typeof user === 'string' && typeof token === 'string' ? [[user, token]] : []
    })
  }

  /** Credentials for a proxy that guards the server, stored for the nearest folder above. */
  basicAuthFor(url: string): UrlCredentials | undefined {
    const stored = objectOf(this.#auth['basic_auth'])
    for (const folder of parentFolders(url).map(withPort)) {
      const [username, password] = textsOf(stored[folder])
      if (username !== undefined && password !== undefined) return { username, password }
    }
    return undefined
  }

  clientCertFor(url: string): string | undefined {
    const stored = objectOf(this.#auth['client_cert'])
    return parentFolders(url).map(withPort).flatMap((folder) => textOf(stored[folder]) ?? [])[0]
  }

  /** Our own settings of the server that the URL belongs to. */
  settingsFor(url: string): RootSettings {
    const found = Object.entries(objectOf(this.#settings['roots'])).find(([root]) => isBelow(url, root))
    const { caCert, insecure, expires } = objectOf(found?.[1])
    const times = Object.entries(objectOf(expires)).flatMap(([user, at]) => (typeof at === 'number' ? [[user, at] as const] : []))
    return {
      ...(typeof caCert === 'string' && { caCert }),
      ...(typeof insecure === 'boolean' && { insecure }),
      expires: Object.fromEntries(times),
    }
  }

  async select(place: Place): Promise<void> {
    const { features, ...urls } = place
    const known = Object.fromEntries(PLACE_KEYS.map((key) => [key, key === 'features' ? [...features] : (urls[key] ?? null)]))
    await this.change(known)
  }

  /** Lays these keys over `current.json`; an undefined one goes. */
  async change(changes: Readonly<Record<string, unknown>>): Promise<void> {
    const mode = this.currentFile.startsWith(this.clientDir) ? 0o600 : 0o644
    this.#current = await changeState(this.currentFile, mode, (before) => defined({ ...before, ...changes }))
  }

  /** The newest login of a server stands first, the others by name, as the reference client has it. */
  async logIn(root: string, user: string, token: string, expiresAt: number | undefined): Promise<void> {
    await this.#changeLogins(root, (others) => [[user, token], ...others.filter(([name]) => name !== user).sort(([a], [b]) => (a < b ? -1 : 1))])
    await this.change({ username: user })
    if (expiresAt !== undefined) {
      await this.setForRoot(root, { expires: { ...this.settingsFor(root).expires, [user]: expiresAt } })
    }
  }

  async logOff(root: string, user: string | undefined): Promise<void> {
    await this.#changeLogins(root, (pairs) => pairs.filter(([name]) => user !== undefined && name !== user))
  }

  async #changeLogins(root: string, change: (pairs: [string, string][]) => [string, string][]): Promise<void> {
    this.#auth = await changeState(this.#authFile, 0o600, (before) => {
      this.#auth = before
      return { ...before, auth: { ...objectOf(before['auth']), [root]: change(this.#logins(root)) } }
    })
  }

  async setBasicAuth(root: string, { username, password }: UrlCredentials): Promise<void> {
    await this.#changeAuth('basic_auth', withPort(root), [username, password])
  }

  async setClientCert(root: string, path: string | undefined): Promise<void> {
    await this.#changeAuth('client_cert', withPort(root), path)
  }

  async #changeAuth(section: string, key: string, value: unknown): Promise<void> {
    this.#auth = await changeState(this.#authFile, 0o600, (before) => ({
      ...before,
      [section]: defined({ ...objectOf(before[section]), [key]: value }),
    }))
  }

  async setForRoot(root: string, settings: RootSettings): Promise<void> {
    this.#settings = await changeState(this.#settingsFile, 0o600, (before) => {
      const roots = objectOf(before['roots'])
      return { ...before, roots: { ...roots, [root]: defined({ ...objectOf(roots[root]), ...settings }) } }
    })
  }

  /** From now on the selection lives in another file; it starts as it is. */
  async keepAt(path: string): Promise<void> {
    this.currentFile = path
    await this.change(this.#current)
  }

  /** Whether there was one to delete. Logins stay. */
  async forgetPlace(): Promise<boolean> {
    if (!existsSync(this.currentFile)) return false
    await rm(this.currentFile)
    this.#current = {}
    return true
  }
}

/** The home folder as the environment has it, which tests and quickstarts replace. */
export function homeFolder(env: NodeJS.ProcessEnv): string {
  const home = env['HOME'] ?? env['USERPROFILE']
  return home === undefined || home === '' ? homedir() : home
}

/** `~` expanded, absolute. */
export function expandPath(path: string, env: NodeJS.ProcessEnv, cwd: string): string {
  const expanded = path.replace(/^~(?=$|[/\\])/, () => homeFolder(env))
  return isAbsolute(expanded) ? expanded : resolve(cwd, expanded)
}

function clientDirectory(chosen: string | undefined, env: NodeJS.ProcessEnv, cwd: string): string {
  return expandPath(chosen === undefined || chosen === '' ? '~/.devpi/client' : chosen, env, cwd)
}

function defined(values: Readonly<Record<string, unknown>>): JsonObject {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}
