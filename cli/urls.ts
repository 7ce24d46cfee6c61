import { Failure } from './failure.js'

/** Credentials that stood in a URL, decoded. */
export interface UrlCredentials {
  readonly username: string
  readonly password: string
}

/** An `http` or `https` URL as the user wrote it. Fails with the sentence of `use` for everything else. */
export function parseServerUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !isHttp(text) || url.hostname === '') throw new Failure('CONFIG', `invalid URL: ${maskUrl(text)}`)
  return url
}

export function isHttp(text: string): boolean {
  return /^https?:\/\//i.test(text)
}

/** With exactly one slash at the end, the query kept. */
export function asFolder(url: string): string {
  const parsed = new URL(url)
  parsed.pathname = `${parsed.pathname.replace(/\/+$/, '')}/`
  return parsed.href
}

export function withoutSlash(url: string): string {
  return url.replace(/\/+$/, '')
}

/** Root of a server, with a slash at its end, from the address of its login. */
export function rootOfLogin(login: string): string {
  const url = new URL('.', login)
  url.search = ''
  return url.href
}

/**
 * A path below a root. A leading slash means the root, not the host: the
 * server may live on a path. The segments come as a user or a server wrote them.
 */
export function below(root: string, path: string): string {
  return new URL(path.replace(/^\/+/, ''), root).href
}

/** One address out of names, each of which may hold any character. */
export function address(root: string, ...names: readonly string[]): string {
  return asFolder(root) + names.map((name) => encodeURIComponent(name).replaceAll('%2B', '+')).join('/')
}

/** `url` and its parent folders, nearest first: where settings for it are looked up. */
export function parentFolders(url: string): string[] {
  const { origin, pathname } = new URL(url)
  const parts = pathname.split('/').slice(1)
  const folders = pathname.endsWith('/') ? [] : [origin + pathname]
  for (let count = parts.length - 1; count >= 0; count--) {
    folders.push(`${origin}/${parts.slice(0, count).map((part) => `${part}/`).join('')}`)
  }
  return folders
}

/** Whether a request to `url` may carry what was stored for `root`. */
export function isBelow(url: string, root: string): boolean {
  if (!URL.canParse(url) || !URL.canParse(root)) return false
  const target = new URL(url)
  const base = new URL(root)
  return target.origin === base.origin && `${target.pathname}/`.startsWith(base.pathname)
}

/** The same origin with the port spelled out: under which proxies' credentials and certificates are stored. */
export function withPort(url: string): string {
  const { protocol, hostname, port, pathname } = new URL(url)
  return `${protocol}//${hostname}:${port === '' ? (protocol === 'https:' ? '443' : '80') : port}${pathname}`
}

/** The URL without its credentials, and these. Half of a pair is an error that `use` explains. */
export function takeCredentials(text: string): { readonly url: string; readonly credentials: UrlCredentials | undefined } {
  const url = parseServerUrl(text)
  const { username, password } = url
  if (username === '' && password === '') return { url: url.href, credentials: undefined }
  if (username === '' || password === '') {
    throw new Failure('CONFIG', 'When using basic auth, you have to provide username and password.')
  }
  url.username = ''
  url.password = ''
  return { url: url.href, credentials: { username: decoded(username), password: decoded(password) } }
}

export function withCredentials(url: string, { username, password }: UrlCredentials): string {
  const parsed = new URL(url)
  parsed.username = encodeURIComponent(username)
  parsed.password = encodeURIComponent(password)
  return parsed.href
}

/** Fit to be printed: whatever stands before an `@` of the host is hidden. */
export function maskUrl(text: string): string {
  return text.replace(/(\w+:\/\/)([^/?#\s]*)@/g, '$1****:****@')
}

/** As `maskUrl`, but the user stays readable. */
export function maskPassword(text: string): string {
  return text.replace(/(\w+:\/\/[^/?#\s:@]*):([^/?#\s]*)@/g, '$1:****@')
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
