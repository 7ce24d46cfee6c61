import { type Request, type RequestHandler, type Response, Router } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import { isKeySegment } from '#log-format/names.js'
import type { JsonValue } from '#log-format/values.js'
import { groupsOf } from '#server/commands/groups.js'
import { renamedTo } from '#server/commands/lookups.js'
import { openStage } from '#server/stages/open-stage.js'
import { callerOf, identityOf } from '../authenticate.js'
import type { Deps } from '../deps.js'
import { mount } from '../methods.js'
import { requireJson } from '../negotiate-api.js'
import { indexPath } from '../params.js'
import { readerOfAddress } from '../past-serial.js'
import { sendBody, sendResult } from '../respond.js'
import { joinUrl } from '../urls.js'

/** What clients may ask of this server beyond the API's first version. */
const FEATURES = ['push-no-docs', 'push-only-docs', 'push-register-project', 'server-keyvalue-parsing']

/** First segments that are no user. */
const OWN_ROUTES: ReadonlySet<string> = new Set(['+api', '+login', '+status', '+groups', '+authcheck', '+changes', '+health', '+metrics', '+openapi.json'])

/** Those of them with more below. */
const WITHOUT_INDEX: ReadonlySet<string> = new Set(['+health', '+groups'])

/** `+api`, from which clients learn all other addresses, and `+authcheck` for proxies in front. */
export function apiRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  const general: RequestHandler = (req, res) => sendApi(deps, req, res, {})
  mount(router, '/\\+api', { get: general, post: general })
  mount(router, '/:user/\\+api', { get: general, post: general })
  const ofIndex: RequestHandler = async (req, res) => sendApi(deps, req, res, await indexUrls(deps, req))
  mount(router, '/:user/:index/\\+api', { get: ofIndex, post: ofIndex })
  mount(router, '/\\+authcheck', { get: (req, res) => checkAccess(deps, req, res) })
  return router
}

async function sendApi(deps: Deps, req: Request, res: Response, urls: { readonly [name: string]: string }): Promise<void> {
  requireJson(req)
  const { caller, status } = await identityOf(deps, req)
  const { user } = caller
  const authstatus: JsonValue = user === undefined ? [status, '', []] : [status, user, await groupsOf(deps.storage.reader(), { user })]
  const result = { login: joinUrl(deps.outsideUrl(req).base, '+login'), authstatus, features: FEATURES, ...urls }
  sendResult(res, { type: 'apiconfig', result, serial: deps.storage.head.serial })
}

async function indexUrls(deps: Deps, req: Request): Promise<{ readonly [name: string]: string }> {
  const ref = indexPath(req.params)
  const reader = deps.storage.reader()
  const { value } = await openStage({ reader, current: reader, ref, caller: await callerOf(deps, req), now: deps.now() })
  const index = joinUrl(deps.outsideUrl(req).base, ref.user, ref.index)
  return { index, simpleindex: `${index}/+simple/`, ...(value.type === 'stage' && { pypisubmit: `${index}/` }) }
}

/**
 * Whether the caller may have what `X-Original-URI` names: a proxy asks before
 * it serves it itself. What is below an index needs the right to read it.
 */
async function checkAccess(deps: Deps, req: Request, res: Response): Promise<void> {
  const stated = req.headers['x-original-uri']
  const uri = typeof stated === 'string' ? stated : '/+authcheck'
  const [first = '', index, ...rest] = segmentsOf(uri)
  const isRoute = first === '' || !first.startsWith('+') || OWN_ROUTES.has(first)
  if (!isRoute) throw accessDenied()
  const isApi = index === '+api' || (rest.length === 1 && rest[0] === '+api')
  if (!WITHOUT_INDEX.has(first) && index !== undefined && index !== '' && !isApi) {
    const current = deps.storage.reader()
    const reader = readerOfAddress(deps, current, rest)
    const caller = await callerOf(deps, req)
    try {
      const ref = { user: first, index }
      await openStage({ reader, current, ref: (await renamedTo(reader, ref)) ?? ref, caller, now: deps.now() })
    } catch (error) {
      if (!(error instanceof Refusal) || error.kind !== 'not-found') throw error
      throw accessDenied()
    }
  }
  sendBody(res, 200, '', { 'Content-Type': 'text/html; charset=UTF-8' })
}

/** Decoded segments of a path or URL. Refuses `forbidden` for what is none. */
function segmentsOf(uri: string): string[] {
  try {
    const { pathname } = uri.startsWith('/') ? new URL(`http://localhost${uri}`) : new URL(uri)
    const segments = pathname.split('/').slice(1).map(decodeURIComponent)
    // A proxy takes doubled slashes for one and would serve what was not asked about, so only the last may be empty.
    if (segments.every((segment, at) => isKeySegment(segment) || (segment === '' && at === segments.length - 1))) return segments
  } catch {
    // no URL, or wrongly encoded: refused below
  }
  throw accessDenied()
}

function accessDenied(): Refusal {
  return new Refusal('forbidden', 'Access was denied to this resource.', { form: 'status' })
}
