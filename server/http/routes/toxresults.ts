import { type Request, type Response, Router } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import type { JsonValue } from '#log-format/values.js'
import { requireIndex, type FileRef } from '#server/commands/lookups.js'
import { attachToxresult, checkToxresult } from '#server/commands/toxresults.js'
import { authorizeRead } from '#server/commands/read-rights.js'
import { latestToxSummaries } from '#server/projections/tox-summaries.js'
import { mirroredReleases } from '#server/stages/mirrored-releases.js'
import { findMergedRelease } from '#server/stages/releases.js'
import { callerAndOrigin } from '../authenticate.js'
import { bodyStream } from '../body-stream.js'
import type { Deps } from '../deps.js'
import { mount } from '../methods.js'
import { requireJson } from '../negotiate-api.js'
import { versionPath } from '../params.js'
import { PendingBlobs } from '../pending-blobs.js'
import { sendResult } from '../respond.js'
import { ToxReportReader } from '../tox-report-reader.js'
import { fileUrl } from '../urls.js'
import { openForReading } from './projects.js'

const MAX_TOXRESULT_BYTES = 64 * 1024 * 1024

/** What test reports say in short, for each version. */
export function toxresultRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/:user/:index/:project/:version/\\+toxresults{/}', {
    get: (req, res) => showToxSummaries(deps, req, res),
  })
  return router
}

/** Of each file, host, platform and environment what the newest report says. */
async function showToxSummaries(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = versionPath(req.params)
  requireJson(req)
  const stage = await openForReading(deps, req, ref)
  const found = await findMergedRelease(stage, ref.project, ref.version, await mirroredReleases(stage, ref.project, deps.isStored))
  if (found === undefined) {
    throw new Refusal('not-found', `The version ${ref.version} of project ${ref.project} does not exist.`)
  }
  const { base } = deps.outsideUrl(req)
  const links = new Map(found.release.links.map(({ basename, link }) => [basename, link]))
  const result: JsonValue[] = []
  for (const { toxresult, time, ...summary } of await latestToxSummaries(deps.storage, found.release)) {
    const link = links.get(toxresult)
    if (link === undefined) continue // attached since
    const href = fileUrl(base, found.release.user, found.release.index, `+f/${link.dir}`, toxresult)
    result.push({ ...summary, time: new Date(time).toISOString(), href })
  }
  sendResult(res, { type: 'toxresults', result, serial: stage.reader.serial })
}

/** Attaches a test report, any JSON document, to the file whose path is posted to; it is kept byte for byte. */
export async function postToxresult(deps: Deps, request: Request, response: Response, ref: FileRef): Promise<void> {
  const { caller, origin } = await callerAndOrigin(deps, request)
  const reader = deps.storage.reader()
  const value = await requireIndex(reader, ref)
  await authorizeRead(reader, reader, { ...ref, value }, caller)
  await checkToxresult(reader, { ...ref, caller })

  await using pending = new PendingBlobs(deps)
  const limits = { maxBytes: MAX_TOXRESULT_BYTES, idleTimeoutMs: deps.limits.idleTimeoutMs }
  const reading = new ToxReportReader()
  await using received = await deps.blobs.receive(bodyStream(request, limits, reading), limits)
  await pending.commit(received)
  const input = { ...ref, caller, sha256: received.sha256, size: received.size, report: reading.report() }
  const { result, serial } = await deps.storage.transact(origin, (tx) => attachToxresult(tx, input))
  pending.named()
  sendResult(response, { type: 'toxresultpath', result: `${result.path}#sha256=${result.sha256}`, serial })
}
