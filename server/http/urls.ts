import type { IncomingMessage } from 'node:http'
import { Refusal } from '#log-format/api/refusal.js'
import type { TrustedProxies } from './peers.js'

export interface OutsideConfig {
  /** `--outside-url`. */
  readonly outsideUrl?: string
  readonly proxies: TrustedProxies
}

/** Where the server is for one client. */
export interface OutsideUrl {
  /** In front of every absolute URL: scheme, host, port and sub-path; no slash at the end. */
  readonly base: string
  /** The sub-path that requests may have here: empty, or `/devpi`. It is the end of `base`, unless a replica relays the request. */
  readonly prefix: string
}

/**
 * Prepares the choice of the outside URL, which is, first to be found:
 * 1. `X-Outside-URL`, from a trusted proxy;
 * 2. `--outside-url`;
 * 3. `X-Forwarded-Proto`, `-Host` and `-Prefix`, from a trusted proxy, the missing ones as in 4;
 * 4. scheme of the connection and `Host`.
 *
 * For a request that a replica relays, URLs begin with what its client sees; the sub-path is the one of this server,
 * as the replica took off its own.
 *
 * Headers of peers that are not trusted are passed over: they would put links to anywhere on the page of somebody else.
 * What is chosen and is no URL is refused as `invalid`, at once if it is the option.
 */
export function outsideUrls(config: OutsideConfig): (request: IncomingMessage) => OutsideUrl {
  const { proxies } = config
  const configured = config.outsideUrl ? parseOutsideUrl(config.outsideUrl, '--outside-url') : undefined
  const ownUrl = (request: IncomingMessage): OutsideUrl => {
    const stated = headerText(request, 'x-outside-url')
    if (stated && proxies.trusts(request)) return parseOutsideUrl(stated, 'X-Outside-URL')
    if (configured !== undefined) return configured
    return isForwarded(request) && proxies.trusts(request) ? forwardedUrl(request) : connectionUrl(request)
  }
  return (request) => {
    const own = ownUrl(request)
    const relayed = proxies.relayedUrl(request)
    return relayed === undefined ? own : { base: parseOutsideUrl(relayed, 'the address of the replica').base, prefix: own.prefix }
  }
}

/** The path without the sub-path, which some proxies leave on: `/devpi/nina/dev` and `/nina/dev` are the same. */
export function stripPrefix(path: string, prefix: string): string {
  if (prefix === '' || !path.startsWith(prefix)) return path
  const rest = path.slice(prefix.length)
  if (rest === '' || rest.startsWith('?')) return `/${rest}`
  return rest.startsWith('/') ? rest : path
}

/** Whether simple pages shall have absolute links: the header counts with any value, even an empty one. */
export function wantsAbsoluteUrls(request: IncomingMessage): boolean {
  return request.headers['x-devpi-absolute-urls'] !== undefined
}

/** `base` may be empty, for a path. Segments are plain text; each becomes one segment of the URL. */
export function joinUrl(base: string, ...segments: readonly string[]): string {
  return `${base}/${segments.map(encodeSegment).join('/')}`
}

/** `dir` is the folder of the store path, `+f/dd6/09a8f933b97da`. */
export function fileUrl(base: string, user: string, index: string, dir: string, basename: string): string {
  return joinUrl(base, user, index, ...dir.split('/'), basename)
}

/** Percent-encodes what RFC 3986 does not allow in a segment; `+` stays, for clients know `+f` and `+simple` by it. */
export function encodeSegment(segment: string): string {
  if (/^[A-Za-z0-9._~+-]*$/.test(segment)) return segment
  return encodeURIComponent(segment.toWellFormed()).replace(/%(?:2B|40|3A|24|26|2C|3B|3D)/g, decodeURIComponent)
}

/**
 * What stands before `+f/…` in the links of a page at `pagePath` to files of an index: `../../` for the page
 * `/nina/dev/+simple/demo/` and its own index. `pagePath` is the path asked for, percent-encoded, sub-path included
 * in both arguments or in neither.
 */
export function linkPrefix(pagePath: string, user: string, index: string): string {
  return relativeUrl(pagePath, `${joinUrl('', user, index)}/`)
}

/** The shortest relative reference from one absolute path to another; empty from a page to the folder it is in. */
export function relativeUrl(from: string, to: string): string {
  const fromFolders = from.split('/').slice(0, -1)
  const target = to.split('/')
  const folders = target.slice(0, -1)
  let shared = 0
  while (shared < Math.min(fromFolders.length, folders.length) && fromFolders[shared] === folders[shared]) shared++
  const below = target.slice(shared).join('/')
  const up = '../'.repeat(fromFolders.length - shared)
  // RFC 3986, 4.2: a first segment with a colon would be read as a scheme.
  return up === '' && /^[^/]*:/.test(below) ? `./${below}` : up + below
}

const AUTHORITY = /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/
const PREFIX = /^(?:\/(?!\.{1,2}(?:\/|$))(?:[A-Za-z0-9._~!$'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*$/

function parseOutsideUrl(text: string, source: string): OutsideUrl {
  const match = /^(https?):\/\/([^/]*)(\/.*)?$/i.exec(text.trim())
  if (match === null) throw new Refusal('invalid', `${source} is no URL like https://host/path`)
  const [, scheme = '', authority = '', path = ''] = match
  return buildUrl(scheme.toLowerCase(), authority, path, source)
}

function isForwarded({ headers }: IncomingMessage): boolean {
  return (
    headers['x-forwarded-proto'] !== undefined ||
    headers['x-forwarded-host'] !== undefined ||
    headers['x-forwarded-prefix'] !== undefined
  )
}

function forwardedUrl(request: IncomingMessage): OutsideUrl {
  const scheme = nearest(request, 'x-forwarded-proto')?.toLowerCase() ?? connectionScheme(request)
  if (scheme !== 'http' && scheme !== 'https') throw new Refusal('invalid', 'X-Forwarded-Proto is neither http nor https')
  const host = nearest(request, 'x-forwarded-host') ?? connectionHost(request)
  return buildUrl(scheme, host, nearest(request, 'x-forwarded-prefix') ?? '', 'the forwarded URL')
}

function connectionUrl(request: IncomingMessage): OutsideUrl {
  return buildUrl(connectionScheme(request), connectionHost(request), '', 'Host')
}

function connectionScheme({ socket }: IncomingMessage): 'http' | 'https' {
  return 'encrypted' in socket && socket.encrypted === true ? 'https' : 'http'
}

/** HTTP/1.0 knows no `Host`: then it is the address that was connected to. */
function connectionHost({ headers, socket }: IncomingMessage): string {
  if (headers.host) return headers.host
  const { localAddress = 'localhost', localPort = 80 } = socket
  return `${localAddress.includes(':') ? `[${localAddress}]` : localAddress}:${localPort}`
}

function buildUrl(scheme: string, authority: string, path: string, source: string): OutsideUrl {
  const prefix = path.replace(/\/+$/, '')
  if (!AUTHORITY.test(authority)) throw new Refusal('invalid', `${source} names no host`)
  if (!PREFIX.test(prefix)) throw new Refusal('invalid', `${source} has a path that cannot stand before others`)
  return { base: `${scheme}://${authority}${prefix}`, prefix }
}

/** The last value of a list: earlier ones were there before the request came to the proxy that is trusted. */
function nearest(request: IncomingMessage, header: string): string | undefined {
  return headerText(request, header)?.split(',').at(-1)?.trim() || undefined
}

function headerText(request: IncomingMessage, header: string): string | undefined {
  const value = request.headers[header]
  return typeof value === 'string' ? value : value?.join(',')
}
