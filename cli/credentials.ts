import type { Netrc } from './netrc.js'
import type { Session } from './session.js'
import { isBelow, parentFolders, type UrlCredentials } from './urls.js'

export interface Login {
  readonly user: string
  readonly secret: string
  /** The server it is for. */
  readonly root: string
  /** Taken from the environment, so that nothing stored is to be forgotten. */
  readonly fromEnvironment?: true
  /** Taken from `.netrc`. It may be for a proxy in front of the server instead. */
  readonly fromNetrc?: true
}

/** Who asks, by where it is asked: credentials go to the server they belong to and nowhere else. */
export class Credentials {
  readonly #session: Session
  readonly #env: NodeJS.ProcessEnv
  readonly #netrc: Netrc
  /** The server that a token of the environment is for. */
  trustedRoot: string | undefined

  constructor(session: Session, env: NodeJS.ProcessEnv, netrc: Netrc) {
    this.#session = session
    this.#env = env
    this.#netrc = netrc
    this.trustedRoot = session.root
  }

  /** Who asks at this URL: by the environment where it is trusted, else as logged in, else as `.netrc` has it. */
  loginFor(url: string): Login | undefined {
    return this.#ownLogin(url) ?? this.#fromNetrc(url)
  }

  #ownLogin(url: string): Login | undefined {
    return this.#fromEnvironment(url) ?? this.#stored(url)
  }

  #fromEnvironment(url: string): Login | undefined {
    const root = this.trustedRoot
    if (root === undefined || !isBelow(url, root)) return undefined
    const { DEVPI_USER: user, DEVPI_TOKEN: token = '', DEVPI_PASSWORD: password = '' } = this.#env
    if (token !== '') return { user: user ?? '__token__', secret: token, root, fromEnvironment: true }
    return password === '' || user === undefined ? undefined : { user, secret: password, root, fromEnvironment: true }
  }

  #stored(url: string): Login | undefined {
    for (const root of parentFolders(url)) {
      const user = this.#session.userAt(root)
      const secret = this.#session.tokenAt(root, user)
      if (user !== undefined && secret !== undefined) return { user, secret, root }
    }
    return undefined
  }

  #fromNetrc(url: string): Login | undefined {
    const found = this.#session.basicAuthFor(url) === undefined ? this.#netrc.loginFor(url) : undefined
    if (found === undefined) return undefined
    const root = this.trustedRoot !== undefined && isBelow(url, this.trustedRoot) ? this.trustedRoot : new URL('/', url).href
    return { user: found.username, secret: found.password, root, fromNetrc: true }
  }

  /**
   * The login, and the name and password of a proxy in front of the server. What
   * `.netrc` has may be either: it goes where programs that know nothing of devpi send it, beside a login too.
   */
  headersFor(url: string): Record<string, string> {
    const login = this.#ownLogin(url)
    const basic = this.#session.basicAuthFor(url) ?? this.#netrc.loginFor(url)
    return {
      ...(login !== undefined && { 'x-devpi-auth': base64(`${login.user}:${login.secret}`) }),
      ...(basic !== undefined && { authorization: `Basic ${base64(`${basic.username}:${basic.password}`)}` }),
    }
  }

  /** What an installer needs in its URL to read the index. */
  forInstaller(url: string): UrlCredentials | undefined {
    const login = this.loginFor(url)
    return login === undefined ? this.#session.basicAuthFor(url) : { username: login.user, password: login.secret }
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
