import { type Request, type RequestHandler, type Response, Router } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import type { JsonValue } from '#log-format/values.js'
import type { RawSettings } from '#server/commands/index-settings.js'
import { createIndex, deleteIndex, type IndexChanges, modifyIndex } from '#server/commands/indexes.js'
import { indexName, type IndexRef } from '#server/commands/lookups.js'
import { openStage } from '#server/stages/open-stage.js'
import type { Reader } from '#server/storage/reader.js'
import { callerAndOrigin, callerOf } from '../authenticate.js'
import type { Deps } from '../deps.js'
import { isObject, readJson, readJsonObject } from '../json-body.js'
import { mount } from '../methods.js'
import { isInstaller } from '../negotiate.js'
import { installerAccepts, requireJson, wantsProjectList } from '../negotiate-api.js'
import { hasFlag, indexPath, noSuchRoute } from '../params.js'
import { sendMessage, sendResult } from '../respond.js'
import { indexJson } from '../user-json.js'
import { patchName, putClone } from './index-moves.js'

/** What other nouns do at the address of an index: uploads and pushes, and the list for installers. */
export interface IndexHandlers {
  readonly post: RequestHandler
  readonly list: RequestHandler
}

/** Indexes: their settings, and whatever else their address takes. */
export function indexRoutes(deps: Deps, { post, list }: IndexHandlers): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/:user/:index{/}', {
    get: async (req, res, next) => {
      indexPath(req.params)
      if (isInstaller(req) ? installerAccepts(req) : wantsProjectList(req)) await list(req, res, next)
      else if (isInstaller(req)) throw noSuchRoute()
      else await showIndex(deps, req, res)
    },
    put: (req, res) => putIndex(deps, req, res),
    patch: (req, res) => patchIndex(deps, req, res),
    delete: (req, res) => removeIndex(deps, req, res),
    post,
  })
  return router
}

async function showIndex(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = indexPath(req.params)
  requireJson(req)
  const reader = deps.storage.reader()
  const { value } = await openStage({ reader, current: reader, ref, caller: await callerOf(deps, req), now: deps.now() })
  const result: Record<string, JsonValue> = { ...indexJson(value) }
  if (!hasFlag(req, 'no_projects')) {
    result['projects'] = await ownProjects(reader, ref)
  }
  sendResult(res, { type: 'indexconfig', result, serial: reader.serial })
}

async function putIndex(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = indexPath(req.params)
  const { caller, origin } = await callerAndOrigin(deps, req)
  const settings: RawSettings = await readJsonObject(req, deps.limits)
  if (settings['clone'] !== undefined) {
    await putClone(deps, res, { ref, caller, origin, settings })
    return
  }
  const { serial, result } = await deps.storage.transact(origin, (tx) => createIndex(tx, { ...ref, caller, settings }))
  sendResult(res, { type: 'indexconfig', result: indexJson(result), serial })
}

async function patchIndex(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = indexPath(req.params)
  const { caller, origin } = await callerAndOrigin(deps, req)
  const body = await readJson(req, deps.limits)
  if (isObject(body) && body['rename'] !== undefined) {
    await patchName(deps, res, { ref, caller, origin, body })
    return
  }
  const changes = changesOf(body)
  const refuseNoop = hasFlag(req, 'error_on_noop')
  const { serial, result } = await deps.storage.transact(origin, (tx) =>
    modifyIndex(tx, { ...ref, caller, changes, refuseNoop }),
  )
  sendResult(res, { type: 'indexconfig', result: indexJson(result), serial })
}

/** Settings, settings as a reply wraps them, or a list of operations. */
function changesOf(body: JsonValue): IndexChanges {
  if (Array.isArray(body)) return { kind: 'operations', operations: body }
  if (!isObject(body)) {
    throw new Refusal('invalid', 'Bad request: the body must be an object of settings or a list of operations such as "key=value"')
  }
  const { type, result } = body
  if (type === 'indexconfig' && result !== undefined && isObject(result)) return { kind: 'settings', settings: result }
  return { kind: 'settings', settings: body }
}

async function removeIndex(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = indexPath(req.params)
  const { caller, origin } = await callerAndOrigin(deps, req)
  const { serial } = await deps.storage.transact(origin, (tx) => deleteIndex(tx, { ...ref, caller }))
  sendMessage(res, serial, `index ${indexName(ref)} deleted`, 201)
}

/** Names of the projects on this index alone, in order. */
async function ownProjects(reader: Reader, { user, index }: IndexRef): Promise<string[]> {
  const names: string[] = []
  for await (const { segments } of reader.scan(keys.project.under(user, index))) {
    names.push(keys.project.params(segments).project)
  }
  return names
}
