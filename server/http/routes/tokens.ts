import { type Request, type Response, Router } from 'express'
import type { CreatedTokenJson, TokenJson } from '#log-format/api/tokens.js'
import { keys } from '#log-format/keys.js'
import type { TokenValue } from '#log-format/values.js'
import { hasExpired, newApiToken } from '#server/auth/api-tokens.js'
import { requireUser } from '#server/commands/lookups.js'
import { authorize } from '#server/commands/rights.js'
import { createToken, noSuchToken, revokeToken, type TokenRef } from '#server/commands/tokens.js'
import { callerAndOrigin, callerOf } from '../authenticate.js'
import type { Deps } from '../deps.js'
import { readJsonObject } from '../json-body.js'
import { mount } from '../methods.js'
import { requireJson } from '../negotiate-api.js'
import { tokenPath, userPath } from '../params.js'
import { sendMessage, sendResult } from '../respond.js'
import { wantedToken } from '../token-body.js'
import { formatTime } from '../user-json.js'

/** API tokens of a user: made, listed, shown and revoked, the secret being in the first answer only. */
export function tokenRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/:user/\\+tokens{/}', {
    get: (req, res) => listTokens(deps, req, res),
    post: (req, res) => postToken(deps, req, res),
  })
  mount(router, '/:user/\\+tokens/:id{/}', {
    get: (req, res) => showToken(deps, req, res),
    delete: (req, res) => deleteToken(deps, req, res),
  })
  return router
}

async function listTokens(deps: Deps, req: Request, res: Response): Promise<void> {
  const { user } = userPath(req.params)
  requireJson(req)
  const caller = await callerOf(deps, req)
  const reader = deps.storage.reader()
  await authorize(reader, caller, 'token-list', { user })
  await requireUser(reader, { user })
  const tokens: Record<string, TokenJson> = {}
  for await (const { segments, value } of reader.scan(keys.token.under(user))) {
    const ref = keys.token.params(segments)
    tokens[ref.id] = tokenJson(ref, value, deps.now())
  }
  res.setHeader('Cache-Control', 'no-store')
  sendResult(res, { type: 'list:tokenconfig', result: tokens, serial: reader.serial })
}

async function showToken(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = tokenPath(req.params)
  requireJson(req)
  const caller = await callerOf(deps, req)
  const reader = deps.storage.reader()
  await authorize(reader, caller, 'token-list', { user: ref.user })
  await requireUser(reader, ref)
  const value = await reader.get(keys.token(ref))
  if (value === undefined) throw noSuchToken(ref)
  res.setHeader('Cache-Control', 'no-store')
  sendResult(res, { type: 'tokenconfig', result: tokenJson(ref, value, deps.now()), serial: reader.serial })
}

async function postToken(deps: Deps, req: Request, res: Response): Promise<void> {
  const { user } = userPath(req.params)
  const { caller, origin } = await callerAndOrigin(deps, req)
  await authorize(deps.storage.reader(), caller, 'token-create', { user }) // asked again in the transaction; strangers need not send a body
  const wanted = wantedToken(await readJsonObject(req, deps.limits))
  const token = newApiToken(user)
  const { serial, result: value } = await deps.storage.transact(origin, (tx) => createToken(tx, { caller, user, token, ...wanted }))
  const result: CreatedTokenJson = { ...tokenJson({ user, id: token.id }, value, deps.now()), token: token.text }
  res.setHeader('Cache-Control', 'no-store')
  sendResult(res, { type: 'tokenconfig', result, message: 'keep the token, it is not shown again', serial, status: 201 })
}

async function deleteToken(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = tokenPath(req.params)
  const { caller, origin } = await callerAndOrigin(deps, req)
  const { serial, result } = await deps.storage.transact(origin, (tx) => revokeToken(tx, { ...ref, caller }))
  sendMessage(res, serial, `API token '${ref.id}' (${result.name}) revoked`)
}

function tokenJson({ user, id }: TokenRef, value: TokenValue, nowMs: number): TokenJson {
  const { name, actions, indexes, created, expires } = value
  return {
    id,
    user,
    name,
    actions,
    indexes,
    created: formatTime(created),
    expires: expires === undefined ? null : formatTime(expires),
    expired: hasExpired(value, nowMs),
  }
}
