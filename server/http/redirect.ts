import type { ServerResponse } from 'node:http'
import type { Request, Response } from 'express'
import type { Deps } from './deps.js'
import { queryOf } from './params.js'

/** Leads to another path of this server, 302, with the query that came along. */
export function redirectTo(deps: Deps, req: Request, res: Response, path: string): void {
  res.redirect(302, deps.outsideUrl(req).base + path + queryOf(req))
}

/** To an address of another server. */
export function redirectAway(response: ServerResponse, url: string): void {
  response.writeHead(302, { Location: url, 'Cache-Control': 'no-store' }).end()
}
