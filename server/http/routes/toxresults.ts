import type { Request, Response } from 'express'
import { requireIndex, type FileRef } from '#server/commands/lookups.js'
import { attachToxresult, checkToxresult } from '#server/commands/toxresults.js'
import { authorizeRead } from '#server/commands/read-rights.js'
import { callerAndOrigin } from '../authenticate.js'
import { bodyStream } from '../body-stream.js'
import type { Deps } from '../deps.js'
import { JsonScanner } from '../json-scanner.js'
import { PendingBlobs } from '../pending-blobs.js'
import { sendResult } from '../respond.js'

const MAX_TOXRESULT_BYTES = 64 * 1024 * 1024

/** Attaches a test report, any JSON document, to the file whose path is posted to; it is kept byte for byte. */
export async function postToxresult(deps: Deps, request: Request, response: Response, ref: FileRef): Promise<void> {
  const { caller, origin } = await callerAndOrigin(deps, request)
  const reader = deps.storage.reader()
  const value = await requireIndex(reader, ref)
  await authorizeRead(reader, reader, { ...ref, value }, caller)
  await checkToxresult(reader, { ...ref, caller })

  await using pending = new PendingBlobs(deps)
  const limits = { maxBytes: MAX_TOXRESULT_BYTES, idleTimeoutMs: deps.limits.idleTimeoutMs }
  await using report = await deps.blobs.receive(bodyStream(request, limits, new JsonScanner()), limits)
  await pending.commit(report)
  const input = { ...ref, caller, sha256: report.sha256, size: report.size }
  const { result, serial } = await deps.storage.transact(origin, (tx) => attachToxresult(tx, input))
  pending.named()
  sendResult(response, { type: 'toxresultpath', result: `${result.path}#sha256=${result.sha256}`, serial })
}
