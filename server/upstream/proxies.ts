import { BlockList, isIP } from 'node:net'

/** Through which proxies other servers are asked, as the environment says it. */
export interface ProxySettings {
  /** For `http:` and `https:` addresses; of `http:` or `https:` themselves, maybe with user and password. */
  readonly http?: string
  readonly https?: string
  /** Hosts that are asked directly, as in `no_proxy`. */
  readonly except: readonly string[]
}

/** The proxy for a URL; undefined for one that is asked directly. */
export function proxyFor({ http, https, except }: ProxySettings, url: URL): URL | undefined {
  const proxy = url.protocol === 'https:' ? https : http
  if (proxy === undefined || except.some((pattern) => matches(pattern, url))) return undefined
  return new URL(proxy)
}

/** `*`; a domain, with or without a dot in front, for all hosts in it; an address or network of addresses; each maybe with a port. */
function matches(pattern: string, url: URL): boolean {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase()
  const [name, port] = splitPort(pattern.trim().toLowerCase())
  if (port !== undefined && port !== (url.port || (url.protocol === 'https:' ? '443' : '80'))) return false
  if (name === '*') return true
  if (isIP(host) !== 0) return isInNetwork(host, name)
  const domain = name.replace(/^\*?\./, '')
  return domain !== '' && (host === domain || host.endsWith(`.${domain}`))
}

function splitPort(pattern: string): readonly [name: string, port: string | undefined] {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d+)$/.exec(pattern)
  return match === null ? [pattern.replace(/^\[(.*)\]$/, '$1'), undefined] : [match[1] ?? match[2] ?? '', match[3]]
}

function isInNetwork(host: string, network: string): boolean {
  const [address = '', bits] = network.split('/')
  const version = isIP(address)
  if (version === 0 || version !== isIP(host)) return false
  const most = version === 4 ? 32 : 128
  const prefix = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : most + 1
  if (prefix > most) return false
  const family = version === 4 ? 'ipv4' : 'ipv6'
  const list = new BlockList()
  list.addSubnet(address, prefix, family)
  return list.check(host, family)
}
