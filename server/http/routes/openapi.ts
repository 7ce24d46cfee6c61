import { createHash } from 'node:crypto'
import { type RequestHandler, Router } from 'express'
import { etagMatches } from '../caching.js'
import type { Deps } from '../deps.js'
import { mount } from '../methods.js'
import { JSON_TYPE } from '../negotiate.js'
import { sendBody } from '../respond.js'

/** Tools that draw pages from the document ask for it again and again; it changes with the release alone. */
const CACHE_CONTROL = 'public, max-age=300'

/** `+openapi.json`: the API for programs, whatever they accept. */
export function openApiRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/\\+openapi.json', { get: sendDocument(deps) })
  return router
}

interface MadeDocument {
  readonly body: Buffer
  readonly headers: Readonly<Record<'ETag' | 'Cache-Control', string>>
}

function sendDocument(deps: Deps): RequestHandler {
  let made: MadeDocument | undefined
  return async (request, response) => {
    made ??= await makeDocument(deps.node.serverVersion)
    const { body, headers } = made
    if (etagMatches(request.headers['if-none-match'], headers.ETag)) response.writeHead(304, headers).end()
    else sendBody(response, 200, body, { ...headers, 'Content-Type': JSON_TYPE })
  }
}

/** Descriptions are loaded when somebody wants them: a server starts without. */
async function makeDocument(serverVersion: string): Promise<MadeDocument> {
  const { openApiDocument } = await import('../api-description/openapi.js')
  const body = Buffer.from(`${JSON.stringify(openApiDocument(serverVersion))}\n`)
  const ETag = `"${createHash('sha256').update(body).digest('hex').slice(0, 32)}"`
  return { body, headers: { ETag, 'Cache-Control': CACHE_CONTROL } }
}
