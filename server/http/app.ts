import express, { type ErrorRequestHandler, type Express, type Request, type RequestHandler } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import { EPOCH_HEADER } from '#server/replication/epoch-claim.js'
import { isNotOpen } from '#server/storage/database.js'
import { beginRequest, requestIdOf } from './authenticate.js'
import type { Deps } from './deps.js'
import { followRenamed } from './follow-renamed.js'
import { sendFault, sendRefusal } from './errors.js'
import { meetEpoch } from './epoch-guard.js'
import { noSuchRoute } from './params.js'
import { noteOriginalUrl } from './original-url.js'
import { isRead } from './relay.js'
import { drainOrClose, RequestAborted } from './request-body.js'
import { setNodeHeaders, setSerial } from './respond.js'
import { apiRoutes } from './routes/api.js'
import { blobRoutes } from './routes/blobs.js'
import { changelogRoutes } from './routes/changelog.js'
import { changesRoutes } from './routes/changes.js'
import { docsRoutes } from './routes/docs.js'
import { epochRoutes } from './routes/epoch.js'
import { fileRoutes } from './routes/files.js'
import { groupRoutes } from './routes/groups.js'
import { healthRoutes } from './routes/health.js'
import { indexRoutes } from './routes/indexes.js'
import { loginRoutes } from './routes/login.js'
import { metricsRoutes } from './routes/metrics.js'
import { openApiRoutes } from './routes/openapi.js'
import { policyRoutes } from './routes/policies.js'
import { projectRoutes } from './routes/projects.js'
import { simpleRoutes } from './routes/simple.js'
import { statusRoutes } from './routes/status.js'
import { postToIndex } from './routes/uploads.js'
import { tokenRoutes } from './routes/tokens.js'
import { undoRoutes } from './routes/undo.js'
import { userRoutes } from './routes/users.js'
import { toxresultRoutes } from './routes/toxresults.js'
import { snapshotRoutes } from './routes/snapshot.js'
import { vaultRoutes } from './routes/vault.js'
import { versionRoutes } from './routes/versions.js'
import { stripPrefix } from './urls.js'

const EPOCH_KEY = EPOCH_HEADER.toLowerCase()

/** Middleware in its order and the routers of all nouns; the more particular address comes first. */
export function createApp(deps: Deps): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')

  app.use(begin(deps))
  const simple = simpleRoutes(deps)
  app.use(
    statusRoutes(deps),
    openApiRoutes(deps),
    healthRoutes(deps),
    metricsRoutes(deps),
    changesRoutes(deps),
    blobRoutes(deps),
    changelogRoutes(deps),
    epochRoutes(deps),
    vaultRoutes(deps),
    snapshotRoutes(deps),
    apiRoutes(deps),
    loginRoutes(deps),
    groupRoutes(deps),
    tokenRoutes(deps),
    undoRoutes(deps),
    fileRoutes(deps),
    simple.router,
    policyRoutes(deps),
    docsRoutes(deps),
    toxresultRoutes(deps),
    versionRoutes(deps),
    projectRoutes(deps, { page: simple.page }),
    indexRoutes(deps, { post: postToIndex(deps), list: simple.list }),
    userRoutes(deps),
  )
  app.use(() => {
    throw noSuchRoute()
  })
  app.use(followRenamed(deps), answerErrors(deps))
  return app
}

function begin(deps: Deps): RequestHandler {
  return (req, res, next) => {
    req.socket.setTimeout(deps.limits.idleTimeoutMs) // for who neither reads an answer nor sends more of a body that nobody reads
    beginRequest(req, deps.newRequestId())
    const sayWho = (): void => {
      setNodeHeaders(res, deps.node)
      setSerial(res, deps.storage.head.serial)
    }
    sayWho()
    noteOriginalUrl(req)
    req.url = plainUrl(stripPrefix(req.url, deps.outsideUrl(req).prefix))
    refuseSandboxed(req)
    const goOnHere = (error?: unknown): void => {
      sayWho() // it waited while this server became the primary
      next(error)
    }
    const goOn = (): unknown => (deps.relay === undefined || isRead(req.method) ? next() : deps.relay(req, res, goOnHere))
    return req.headers[EPOCH_KEY] === undefined ? goOn() : meetEpoch(deps, req).then(goOn)
  }
}

/**
 * Uploaded documentation runs in a sandbox, where it has no origin. A browser
 * may still send the user's credentials along with what it posts, so such
 * requests change nothing here. Package tools send no `Origin` at all.
 */
function refuseSandboxed({ method, headers }: Request): void {
  if (headers.origin !== 'null' || method === 'GET' || method === 'HEAD') return
  throw new Refusal('forbidden', 'a page without an origin, such as uploaded documentation, may change nothing here')
}

/** pip writes the `+` of a path as `%2B`; both mean the same. Doubled slashes name nothing. */
function plainUrl(url: string): string {
  if (!url.includes('%')) return url
  const query = url.indexOf('?')
  const path = query === -1 ? url : url.slice(0, query)
  return path.replace(/%2b/gi, '+') + (query === -1 ? '' : url.slice(query))
}

function answerErrors(deps: Deps): ErrorRequestHandler {
  return (error: unknown, req, res, _next) => {
    if (error instanceof RequestAborted) return void res.destroy()
    drainOrClose(req, res)
    if (error instanceof Refusal) { sendRefusal(req, res, error, isForApi(req.method, error.kind) ? { always: 'json' } : {}); return; }
    if (isBadUrl(error)) { sendRefusal(req, res, badUrl()); return; }
    const request = requestIdOf(req)
    const faultId = deps.newRequestId()
    deps.reportFault(error, { faultId, request, url: req.originalUrl })
    if (isNotOpen(error)) { sendRefusal(req, res, inAMoment(req.method, error), isForApi(req.method) ? { always: 'json' } : {}); return }
    sendFault(req, res, faultId)
  }
}

/** Who changes things speaks JSON, whatever the `Accept` header says; and who named a wrong one is told so in the right one. */
function isForApi(method: string, kind?: Refusal['kind']): boolean {
  return (method !== 'GET' && method !== 'HEAD') || kind === 'unsupported-media-type'
}

/** Of a read of the database that came while it was being opened again, after a write that failed. */
function inAMoment(method: string, cause: unknown): Refusal {
  const whatToDo = isRead(method) ? 'try again in a moment' : 'look in a moment whether the change was made, before you try again'
  return new Refusal('not-available', `the server opens its database again; ${whatToDo}`, { headers: { 'Retry-After': '1' }, cause })
}

/** Express could not decode the path. */
function isBadUrl(error: unknown): boolean {
  return error instanceof URIError || (error instanceof Error && 'status' in error && error.status === 400)
}

function badUrl(): Refusal {
  return new Refusal('invalid', 'the address is not valid UTF-8 in percent-encoding', { form: 'status' })
}
