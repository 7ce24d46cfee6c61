import type { IncomingMessage } from 'node:http'
import { addressList, type TrustedProxies } from './peers.js'

/** Headers by which a proxy shows that it is one. */
const FORWARDING = ['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-prefix', 'x-outside-url', 'x-real-ip']

/**
 * Whether a request comes from this machine or one of the networks: who may
 * see the metrics without logging in. What a proxy passes on comes from
 * nowhere, unless the proxy is trusted and says from where. Refuses `invalid`
 * as {@link addressList}.
 */
export function monitorsFrom(networks: readonly string[], proxies: TrustedProxies): (request: IncomingMessage) => boolean {
  const isListed = addressList(['loopback', ...networks], 'metrics-from')
  return (request) => {
    const { headers } = request
    const isForwarded = FORWARDING.some((header) => headers[header] !== undefined)
    const isNamed = proxies.trusts(request) && (headers['x-forwarded-for'] ?? headers['x-real-ip']) !== undefined
    return (!isForwarded || isNamed) && isListed(proxies.clientAddress(request))
  }
}
