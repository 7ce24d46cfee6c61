import { type Request, type RequestHandler, type Response, Router } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import type { JsonValue } from '#log-format/values.js'
import { indexName, type ProjectRef } from '#server/commands/lookups.js'
import { deleteProject } from '#server/commands/projects.js'
import { mirroredReleases } from '#server/stages/mirrored-releases.js'
import { openStage, type OpenStage } from '#server/stages/open-stage.js'
import { hasProject, listMergedReleases } from '#server/stages/releases.js'
import { askUpstreams } from '../ask-upstreams.js'
import { callerAndOrigin, callerOf } from '../authenticate.js'
import { stalePageHeaders } from '../caching.js'
import type { Deps } from '../deps.js'
import { mount } from '../methods.js'
import { HTML_TYPE, isInstaller, JSON_TYPE, preferredType, wantsJson } from '../negotiate.js'
import { hasFlag, noSuchRoute, projectPath } from '../params.js'
import { redirectTo } from '../redirect.js'
import { mergedReleaseJson } from '../release-json.js'
import { sendMessage, sendResult } from '../respond.js'
import { joinUrl } from '../urls.js'

/** Projects of an index. `page` answers installers that were given the URL of the index itself. */
export function projectRoutes(deps: Deps, { page }: { readonly page: RequestHandler }): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/:user/:index/:project{/}', {
    get: async (req, res, next) => {
      projectPath(req.params)
      if (isInstaller(req)) await page(req, res, next)
      else await showProject(deps, req, res)
    },
    delete: (req, res) => removeProject(deps, req, res),
  })
  return router
}

async function showProject(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = projectPath(req.params)
  if (isPageOnly(req)) throw noSuchRoute()
  if (req.params['project'] !== ref.project) {
    redirectTo(deps, req, res, joinUrl('', ref.user, ref.index, ref.project))
    return
  }
  if (!wantsJson(req)) {
    throw new Refusal('unsupported-media-type', `unsupported media type ${req.headers.accept ?? '*/*'}; ask for ${JSON_TYPE}`)
  }
  const { stage, failure } = await openUpToDate(deps, req, ref)
  if (!(await hasProject(stage, ref.project, deps.isStored))) throw failure ?? new Refusal('not-found', `no project '${ref.project}'`)

  const shown = hasFlag(req, 'ignore_bases') ? { ...stage, order: stage.order.slice(0, 1) } : stage
  const { base } = deps.outsideUrl(req)
  const result: Record<string, JsonValue> = {}
  const mirrored = await mirroredReleases(shown, ref.project, deps.isStored)
  for (const [version, found] of await listMergedReleases(shown, ref.project, mirrored)) result[version] = mergedReleaseJson(found, base)
  if (failure !== undefined) setStaleHeaders(deps, res)
  sendResult(res, { type: 'projectconfig', result, serial: stage.reader.serial })
}

async function removeProject(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = projectPath(req.params)
  const { caller, origin } = await callerAndOrigin(deps, req)
  const force = hasFlag(req, 'force')
  const { serial } = await deps.storage.transact(origin, (tx) => deleteProject(tx, { ...ref, caller, force }))
  sendMessage(res, serial, `project ${ref.project} deleted from stage ${indexName(ref)}`)
}

/** The stage at head. */
export async function openForReading(deps: Deps, req: Request, ref: ProjectRef): Promise<OpenStage> {
  const reader = deps.storage.reader()
  return openStage({ reader, current: reader, ref, caller: await callerOf(deps, req), now: deps.now() })
}

/** The same after its mirrors asked their upstreams for the project, as far as they may, and why one of them could not. */
export async function openUpToDate(deps: Deps, req: Request, ref: ProjectRef): Promise<{ readonly stage: OpenStage; readonly failure: Refusal | undefined }> {
  const { failure } = await askUpstreams(deps, await openForReading(deps, req, ref), ref.project, new Map())
  return { stage: await openForReading(deps, req, ref), failure }
}

/** No cache on the way shall answer with it again. */
export function setStaleHeaders(deps: Deps, res: Response): void {
  for (const [name, value] of Object.entries(stalePageHeaders(deps.now()))) res.setHeader(name, value)
}

/** Whether a page is accepted and JSON is not: there are no pages here. */
export function isPageOnly(req: Request): boolean {
  return preferredType(req.headers.accept, [JSON_TYPE]) === undefined && preferredType(req.headers.accept, [HTML_TYPE]) !== undefined
}
