import type { IncomingMessage } from 'node:http'
import type { Origin } from '#log-format/entry.js'
import type { Caller } from '#server/auth/caller.js'
import type { Identity } from '#server/auth/identify.js'
import { type Deps, originOf } from './deps.js'
import { readingReplica } from './replica-reader.js'

/** What belongs to one request for as long as it lasts. */
interface RequestState {
  readonly id: string
  identity?: Promise<Identity>
}

const states = new WeakMap<IncomingMessage, RequestState>()

/** Names the request; to be called once, before anything else looks at it. */
export function beginRequest(request: IncomingMessage, id: string): void {
  states.set(request, { id })
}

export function requestIdOf(request: IncomingMessage): string {
  return states.get(request)?.id ?? 'unknown'
}

/** Who sends the request. Asked for once, however many ask; a request that needs no caller pays nothing. */
export function identityOf(deps: Deps, request: IncomingMessage): Promise<Identity> {
  const identify = async (): Promise<Identity> => {
    const identity = readingReplica(deps, request) ?? await deps.authenticator.identify(request.headers, deps.proxies.clientAddress(request))
    return { ...identity, caller: { ...identity.caller, policy: deps.policy } }
  }
  const state = states.get(request)
  if (state === undefined) return identify()
  state.identity ??= identify()
  return state.identity
}

export async function callerOf(deps: Deps, request: IncomingMessage): Promise<Caller> {
  return (await identityOf(deps, request)).caller
}

/** The caller, together with what the log will say of the request. */
export async function callerAndOrigin(
  deps: Deps,
  request: IncomingMessage,
): Promise<{ readonly caller: Caller; readonly origin: Origin }> {
  const caller = await callerOf(deps, request)
  return { caller, origin: originOf(deps, caller, requestIdOf(request)) }
}
