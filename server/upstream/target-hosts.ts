import { lookup } from 'node:dns'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent, type AgentOptions as HttpsAgentOptions } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { Refusal } from '#log-format/api/refusal.js'

/**
 * Addresses that are not of the public internet (RFC 6890 and its successors).
 * A user who names a host must not learn through the server what answers there.
 */
const NOT_PUBLIC = new BlockList()
for (const [network, bits] of [
  ['0.0.0.0', 8], ['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12],
  ['192.0.0.0', 24], ['192.168.0.0', 16], ['198.18.0.0', 15], ['224.0.0.0', 4], ['240.0.0.0', 4],
] as const) NOT_PUBLIC.addSubnet(network, bits, 'ipv4')
// Some of them hold an IPv4 address, to which a gateway may lead.
for (const [network, bits] of [
  ['::', 96], ['::ffff:0:0:0', 96], ['64:ff9b::', 96], ['64:ff9b:1::', 48], ['2001::', 32], ['2002::', 16],
  ['fc00::', 7], ['fe80::', 10], ['fec0::', 10], ['ff00::', 8],
] as const) {
  NOT_PUBLIC.addSubnet(network, bits, 'ipv6')
}

/** Whether an address, of either version, may belong to anybody on the internet. */
export function isPublicAddress(address: string): boolean {
  const version = isIP(address)
  return version !== 0 && !NOT_PUBLIC.check(address, version === 4 ? 'ipv4' : 'ipv6') // knows IPv4 in IPv6 form too
}

/** Hosts that the server may talk to for its users: all public ones, and those of private networks that the operator named. */
export class TargetHosts {
  readonly #named: ReadonlySet<string>
  readonly #option: string

  /** `named`: host names or addresses, in lower case; `option`: the one by which the operator names them. */
  constructor(named: readonly string[], option = '--push-host') {
    this.#named = new Set(named)
    this.#option = option
  }

  /** Refuses `forbidden` an address that is written in the URL; a name is judged by the agents, when it is resolved. */
  check(url: URL): void {
    const host = hostOf(url)
    if (isIP(host) !== 0 && !this.#named.has(host) && !isPublicAddress(host)) throw this.#notAllowed(host)
  }

  /** Resolves a name for a socket; fails with a refusal when it leads into a private network. */
  readonly #lookup: LookupFunction = (hostname, options, callback) => {
    if (this.#named.has(hostname.toLowerCase())) {
      lookup(hostname, options, callback)
      return
    }
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, [])
      const [first] = addresses
      const found = addresses.every(({ address }) => isPublicAddress(address)) ? first : undefined
      if (found === undefined) return callback(this.#notAllowed(hostname), [])
      if (options.all === true) callback(null, addresses)
      else callback(null, found.address, found.family)
    })
  }

  /** Make connections to allowed hosts only. */
  readonly agents = { http: new HttpAgent({ lookup: this.#lookup }), https: new HttpsAgent({ lookup: this.#lookup }) }

  /** The same, whose connections stay open for the next request; to be destroyed when nobody asks any more. */
  keptAgents(more: HttpsAgentOptions = {}): { readonly http: HttpAgent; readonly https: HttpsAgent } {
    const options = { lookup: this.#lookup, keepAlive: true, maxSockets: 32, maxFreeSockets: 8, timeout: 30_000, ...more }
    return { http: new HttpAgent(options), https: new HttpsAgent(options) }
  }

  #notAllowed(host: string): Refusal {
    return new Refusal('forbidden', `${host} is in a private network; the server's operator can allow it with ${this.#option} ${host}`)
  }
}

/** Without the brackets of an IPv6 address. */
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1')
}
