import { createServer, IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Express } from 'express'
import type { Deps } from './deps.js'
import { acceptPush } from './push-method.js'

/** A header, once it began, has this long to arrive. */
const HEADERS_TIMEOUT_MS = 60_000
/** An idle connection is kept as long as the proxies in front usually keep theirs. */
const KEEP_ALIVE_MS = 75_000

/**
 * The HTTP server, not yet listening. Cached pages and
 * files are answered before Express sees the request. Express gives requests and replies a prototype of
 * its own; here they are born with it, as swapping it later makes every
 * access on them slow.
 */
export function createListener(deps: Deps, app: Express): Server {
  class AppRequest extends IncomingMessage {}
  class AppResponse extends ServerResponse {}
  app.request = Object.setPrototypeOf(AppRequest.prototype, app.request) as typeof app.request
  app.response = Object.setPrototypeOf(AppResponse.prototype, app.response) as typeof app.response

  const server = createServer(
    {
      IncomingMessage: AppRequest,
      ServerResponse: AppResponse,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: 0, // an upload may take long; bodies have an idle timeout of their own
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    (request, response) => {
      if (deps.pages.answer(request, response) || deps.files.answer(request, response)) return
      deps.metrics.watch(request, response)
      app(request, response)
    },
  )
  acceptPush(server)
  return server
}
