import { type Request, type Response, Router } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import { deleteVersion, yankVersion } from '#server/commands/versions.js'
import { mirroredReleases } from '#server/stages/mirrored-releases.js'
import { findMergedRelease } from '#server/stages/releases.js'
import { callerAndOrigin } from '../authenticate.js'
import type { Deps } from '../deps.js'
import { readJsonObject } from '../json-body.js'
import { mount } from '../methods.js'
import { requireJson } from '../negotiate-api.js'
import { hasFlag, versionPath } from '../params.js'
import { redirectTo } from '../redirect.js'
import { mergedReleaseJson } from '../release-json.js'
import { sendMessage, sendResult } from '../respond.js'
import { joinUrl } from '../urls.js'
import { yankReasonOf } from '../yank-body.js'
import { openUpToDate, setStaleHeaders } from './projects.js'

/** Versions of a project. */
export function versionRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/:user/:index/:project/:version{/}', {
    get: (req, res) => showVersion(deps, req, res),
    patch: (req, res) => patchVersion(deps, req, res),
    delete: (req, res) => removeVersion(deps, req, res),
  })
  return router
}

async function showVersion(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = versionPath(req.params)
  requireJson(req)
  if (req.params['project'] !== ref.project) {
    redirectTo(deps, req, res, joinUrl('', ref.user, ref.index, ref.project, ref.version))
    return
  }
  const { stage, failure } = await openUpToDate(deps, req, ref)
  const found = await findMergedRelease(stage, ref.project, ref.version, await mirroredReleases(stage, ref.project, deps.isStored))
  if (found === undefined) {
    throw failure ?? new Refusal('not-found', `The version ${ref.version} of project ${ref.project} does not exist.`)
  }
  const result = mergedReleaseJson(found, deps.outsideUrl(req).base)
  if (failure !== undefined) setStaleHeaders(deps, res)
  sendResult(res, { type: 'versiondata', result, serial: stage.reader.serial })
}

async function patchVersion(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = versionPath(req.params)
  const { caller, origin } = await callerAndOrigin(deps, req)
  const reason = yankReasonOf(await readJsonObject(req, deps.limits))
  const { serial } = await deps.storage.transact(origin, (tx) => yankVersion(tx, { ...ref, caller, reason }))
  const done = reason === undefined ? 'is no longer yanked' : 'yanked'
  sendMessage(res, serial, `project '${ref.project}' version '${ref.version}' ${done}`)
}

async function removeVersion(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = versionPath(req.params)
  const { caller, origin } = await callerAndOrigin(deps, req)
  const force = hasFlag(req, 'force')
  const { serial } = await deps.storage.transact(origin, (tx) => deleteVersion(tx, { ...ref, caller, force }))
  sendMessage(res, serial, `project '${ref.project}' version '${ref.version}' deleted`)
}
