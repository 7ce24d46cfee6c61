import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { Refusal } from '#log-format/api/refusal.js'

/** Who is believed about where a request came from. */
export interface TrustedProxies {
  /** Whether the peer of the connection is one of them; its `X-Forwarded-*` headers then count. */
  trusts(request: IncomingMessage): boolean
  /**
   * Address of the client, for limits and logs: the nearest one in `X-Forwarded-For` that is no trusted proxy itself,
   * as whatever stands before it may be invented; else `X-Real-IP`. Only a trusted peer is asked; for others it is the
   * peer. Empty when the connection is gone.
   */
  clientAddress(request: IncomingMessage): string
  /** Where the client of a replica, which relays its request, sees the server; undefined for all other requests. */
  relayedUrl(request: IncomingMessage): string | undefined
}

/** Each of `proxies` is an address, a network (`10.0.0.0/8`) or `loopback`; anything else is refused as `invalid`. */
export function trustProxies(proxies: readonly string[]): TrustedProxies {
  const isTrusted = addressList(proxies, 'trusted proxy')

  return {
    trusts: (request) => isTrusted(peerAddress(request)),
    clientAddress: (request) => {
      const peer = peerAddress(request)
      const { 'x-forwarded-for': forwardedFor, 'x-real-ip': realIp } = request.headers
      if ((forwardedFor === undefined && realIp === undefined) || !isTrusted(peer)) return peer
      const hops = [forwardedFor ?? realIp ?? ''].flat().join(',').split(',').map(hopAddress)
      let client = peer
      while (isTrusted(client)) {
        const next = hops.pop()
        if (next === undefined) break
        client = next
      }
      return client
    },
    relayedUrl: () => undefined,
  }
}

/** Tells whether an address is among some: each is an address, a network or `loopback`; another `entry` is refused as `invalid`. */
export function addressList(entries: readonly string[], noun: string): (address: string) => boolean {
  const list = new BlockList()
  for (const entry of entries) addEntry(list, entry.trim(), noun)
  return (address) => {
    const version = isIP(address)
    return version !== 0 && list.check(address, version === 4 ? 'ipv4' : 'ipv6')
  }
}

function addEntry(list: BlockList, entry: string, noun: string): void {
  if (entry === 'loopback') {
    list.addSubnet('127.0.0.0', 8, 'ipv4')
    list.addAddress('::1', 'ipv6')
    return
  }
  const [address = '', bits, ...rest] = entry.split('/')
  const version = isIP(address)
  const family = version === 4 ? 'ipv4' : 'ipv6'
  const widest = version === 4 ? 32 : 128
  const isNetwork = bits !== undefined && /^\d{1,3}$/.test(bits) && Number(bits) <= widest
  if (version === 0 || rest.length > 0 || (bits !== undefined && !isNetwork)) {
    throw new Refusal('invalid', `${noun} '${entry}' is no IP address, network like 10.0.0.0/8 or 'loopback'`)
  }
  if (isNetwork) list.addSubnet(address, Number(bits), family)
  else list.addAddress(address, family)
}

function peerAddress(request: IncomingMessage): string {
  return plainAddress(request.socket.remoteAddress ?? '')
}

/** Some proxies write the port behind the address. Undefined for what is no address: nothing beyond it can be believed. */
function hopAddress(hop: string): string | undefined {
  const text = hop.trim()
  const address = /^\[(.*)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text
  return isIP(address) === 0 ? undefined : plainAddress(address)
}

/** IPv4 on a socket that takes both kinds is `::ffff:10.0.0.1`. */
function plainAddress(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address
}
